/* All checks of the dry run: each room's array, joined. */
#include "agent/ca/check_ca.h"
#include "agent/cli/check.h"
#include "agent/deploy/check_deploy.h"
#include "agent/job/check_job.h"

const struct check *const *const cli_checks[] = { validator_checks, ca_checks, deploy_checks, job_checks, NULL };
