"""The reissue rules R1..R18 as the service enforces them. One function judges a ReplaceCertificate and says what it
will become."""

from der import Csr, DerError
from errors import ApiError, RuleError
from products import primary_domain
from render import Renderer
from state import PENDING

DAY = 86400
ONLINE_KEYS = {("RSA", None): "rsa-2048", ("RSA", "2048"): "rsa-2048", ("RSA", "4096"): "rsa-4096",
               ("ECC", None): "ec-p256", ("ECC", "prime256v1"): "ec-p256", ("ECC", "secp384r1"): "ec-p384",
               ("SM2", None): "sm2"}
PAID_KEYS = ("rsa-2048", "rsa-4096", "ec-p256", "ec-p384")


class Plan:
    """What an accepted reissue will be."""

    def __init__(self):
        self.method = "DNS"
        self.csr_type = "original"
        self.csr_pem = None      # None: the service makes key and CSR itself (online)
        self.key_type = "rsa-2048"
        self.validation = True   # R7, R8, R9, R17
        self.review = False      # R10, R11
        self.waiver = ""


class Judge:
    def __init__(self, state):
        self.state = state
        self.codes = state.scenario.get("codes", {})

    def refuse(self, rule, message):
        raise RuleError(rule, message, self.codes)

    def replace(self, entry, parameters):
        """The Plan of this reissue, or RuleError. Called under the state's lock."""
        plan, product = Plan(), self.state.product(entry)
        self._may_be_reissued(entry, product)
        self._siblings(entry)
        plan.method = self._method(entry, product, parameters["ValidType"])
        self._csr(entry, product, parameters, plan)
        self._waivers(entry, product, plan)
        plan.review = product.reviewed and not entry["approved_before"]
        return plan

    def _may_be_reissued(self, entry, product):
        now = self.state.now()
        if entry["from"] == "upload" or not entry["package_type"]:
            self.refuse("R1-source", "an uploaded certificate cannot be reissued")
        if self.state.running_reissue(entry) or (entry["original"] and entry["phase"] in PENDING):
            self.refuse("R5", "a reissue of this certificate is running")
        status = Renderer(self.state.entries, self.state.variants, now, "").status(entry)
        if status != 1:
            self.refuse("R1", f"the certificate's status is {status}, not issued")
        self._once(entry, product)
        if entry["cert"]["not_after"] - now <= 30 * DAY:
            self.refuse("R2", "30 days or less remain; renew instead")

    def _once(self, entry, product):
        is_reissue = bool(entry["original"] or entry["replaced_by"])
        successor = self.state.find(entry["replaced_for"]) if entry["replaced_for"] else None
        counts = successor is None or successor["phase"] not in ("cancelled",
                                                                 "failed") or not self.state.variants["cancel_frees_r3"]
        replaced = bool(entry["replaced_for"]) and counts
        if product.free and (replaced or is_reissue):
            self.refuse("R3", "a free certificate is reissued once")
        if replaced and not self.state.variants["reissue_of_replaced"]:
            self.refuse("R3", "this order was already reissued; name its newest certificate")

    def _siblings(self, entry):
        primary = primary_domain(entry["domain"])
        for other in self.state.entries.values():
            running = other["original"] and other["phase"] in (*PENDING, "cancelling")
            held = other["held"] and other["held"]["status"] == 11
            same = other is not entry and not other["hidden"] and primary_domain(other["domain"]) == primary
            if same and (running or held):
                self.refuse("R4", f"{other['id']} of the same primary domain {primary} is being reissued")

    def _method(self, entry, product, asked):
        if product.free:
            asked = entry["first_method"]
        if asked == "DNS_AUTO" and not entry["dnspod"]:
            self.refuse("R16", "DNS_AUTO needs the zone on DNSPod in this account")
        if asked == "FILE" and any(name.startswith("*.") for name in entry["names"]):
            self.refuse("R16", "a wildcard cannot be validated by file")
        return asked

    def _csr(self, entry, product, parameters, plan):
        given = parameters.get("CsrType", "original")
        if self.state.variants["csr_type_case"] == "lower" and given != given.lower():
            raise ApiError("InvalidParameterValue", "CsrType must be original, upload or online")
        plan.csr_type = given.lower()
        if plan.csr_type != "upload" and "CsrContent" in parameters:
            self.refuse("R13-form", "CsrContent is only taken with CsrType upload")
        if plan.csr_type != "online" and ({"CertCSREncryptAlgo", "CertCSRKeyParameter"} & set(parameters)):
            self.refuse("R13-form", "algorithm and length are only taken with CsrType online")
        if plan.csr_type == "original":
            plan.csr_pem, plan.key_type = entry["csr"], entry["key_type"]
        elif plan.csr_type == "online":
            plan.key_type = self._online(product, parameters)
        else:
            if "CsrContent" not in parameters:
                raise ApiError("MissingParameter", "CsrContent is required with CsrType upload")
            plan.csr_pem = parameters["CsrContent"]
            plan.key_type = self._uploaded(entry, plan.csr_pem)
        self._key_type(product, plan.key_type)

    def _online(self, product, parameters):
        algorithm = parameters.get("CertCSREncryptAlgo", "SM2" if product.sm2 else "RSA")
        found = ONLINE_KEYS.get((algorithm, parameters.get("CertCSRKeyParameter")))
        if not found:
            self.refuse("R14", "this length does not belong to this algorithm")
        return found

    def _uploaded(self, entry, pem):
        try:
            csr = Csr(pem)
        except (DerError, IndexError, StopIteration, UnicodeDecodeError) as error:
            self.refuse("R13", f"the CSR cannot be used: {error}")
        if [n.lower() for n in csr.common_names] != [entry["domain"].lower()]:
            self.refuse("R13-names", f"the CSR's common name {csr.common_names} is not {entry['domain']}")
        names = [name.lower() for name in csr.names]
        if sorted(names) != sorted(name.lower() for name in entry["names"]):
            self.refuse("R13-names", f"the CSR's names {names} are not the certificate's {entry['names']}")
        return csr.key_type

    def _key_type(self, product, key_type):
        if product.free and key_type != "rsa-2048":
            self.refuse("R14", f"a free certificate takes RSA 2048 only, not {key_type}")
        if product.sm2 != (key_type == "sm2"):
            self.refuse("R14", "SM2 keys and SM2 products belong together")
        if not product.sm2 and key_type not in PAID_KEYS:
            self.refuse("R14", f"{key_type} is not offered")

    def _waivers(self, entry, product, plan):
        if entry["dcv_waived"] and product.paid_dv:
            plan.validation, plan.waiver = False, "R17"
        elif product.waivers and self._same_csr(entry, plan):
            plan.validation, plan.waiver = False, "R7"
        elif product.waivers and self.state.now() - entry["cert"]["issued_at"] < 3 * DAY:
            plan.validation, plan.waiver = False, "R8"

    @staticmethod
    def _same_csr(entry, plan):
        if plan.csr_type == "upload":
            return Csr(plan.csr_pem, trusted=True).der == Csr(entry["csr"], trusted=True).der
        return plan.csr_type == "original"
