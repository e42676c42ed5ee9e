"""What a call may end with: an error code of the service, or a fault that only breaks the transport."""


class ApiError(Exception):
    """A business error: HTTP 200 with Response.Error."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class RuleError(ApiError):
    """A reissue rule (R1..R18) was broken. The code of each rule is a choice of this double; a scenario may choose
    another."""

    CODES = {
        "R1": "FailedOperation.InvalidCertificateStatusCode",
        "R1-source": "FailedOperation.InvalidCertificateSource",
        "R2": "FailedOperation.OrderReplaceFailed",
        "R3": "FailedOperation.OrderAlreadyReplaced",
        "R4": "FailedOperation.OrderReplaceFailed",
        "R5": "FailedOperation.InvalidCertificateStatusCode",
        "R13": "FailedOperation.CertificateInvalid",
        "R13-names": "FailedOperation.CertificateMismatch",
        "R13-form": "InvalidParameter",
        "R14": "InvalidParameter.RenewAlgorithmInvalid",
        "R16": "InvalidParameterValue",
    }

    def __init__(self, rule, message, codes=None):
        code = (codes or {}).get(rule) or self.CODES[rule]
        super().__init__(code, f"{rule.split('-')[0]}: {message}")
        self.rule = rule.split("-")[0]
