"""The parameters of each action: names, types, values. What is not here is refused, as the service does."""

import json

from errors import ApiError

TEXT, WHOLE, FLAG = "string", "integer", "boolean"
TEXTS, WHOLES, TAGS = "array of string", "array of integer", "array of Tag"


class Field:
    """One parameter: its type, whether it must be there, what it may hold."""

    def __init__(self, kind, required=False, values=None, any_case=False, low=None, high=None):
        self.kind, self.required, self.values, self.any_case = kind, required, values, any_case
        self.low, self.high = low, high


ID = {"CertificateId": Field(TEXT, required=True)}
BIT = Field(WHOLE, values=(0, 1))
ACTIONS = {
    "DescribeCertificates": {
        "Offset": Field(WHOLE, low=0), "Limit": Field(WHOLE, low=0), "SearchKey": Field(TEXT),
        "CertificateType": Field(TEXT, values=("CA", "SVR")), "ProjectId": Field(WHOLE),
        "ExpirationSort": Field(TEXT, values=("DESC", "ASC")), "CertificateStatus": Field(WHOLES),
        "Deployable": BIT, "Upload": BIT, "Renew": BIT, "FilterSource": Field(TEXT, values=("upload", "buy")),
        "IsSM": BIT, "FilterExpiring": BIT, "Hostable": BIT, "Tags": Field(TAGS), "IsPendingIssue": BIT,
        "CertIds": Field(TEXTS), "ServiceId": Field(TEXT)},
    "DescribeCertificate": ID,
    "DescribeCertificateDetail": ID,
    "ReplaceCertificate": {
        **ID, "ValidType": Field(TEXT, required=True, values=("DNS_AUTO", "DNS", "FILE")),
        "CsrType": Field(TEXT, values=("original", "upload", "online"), any_case=True),
        "CsrContent": Field(TEXT), "CsrkeyPassword": Field(TEXT), "Reason": Field(TEXT),
        "CertCSREncryptAlgo": Field(TEXT, values=("RSA", "ECC", "SM2")),
        "CertCSRKeyParameter": Field(TEXT, values=("2048", "4096", "prime256v1", "secp384r1")),
        "SignAlgo": Field(TEXT), "UseCrossSignRoot": Field(FLAG)},
    "CheckCertificateDomainVerification": ID,
    "CompleteCertificate": ID,
    "CancelCertificateOrder": ID,
    "CancelAuditCertificate": ID,
    "ModifyCertificateResubmit": ID,
    "DownloadCertificate": ID,
    "RevokeCertificate": {**ID, "Reason": Field(TEXT)},
    "DescribeCertificateOperateLogs": {
        "Offset": Field(WHOLE, low=0), "Limit": Field(WHOLE, low=0, high=1000), "StartTime": Field(TEXT),
        "EndTime": Field(TEXT)},
}


def _no_repeats(pairs):
    found = {}
    for name, value in pairs:
        if name in found:
            raise ApiError("InvalidParameter", f"the parameter {name} is given twice")
        found[name] = value
    return found


def _refuse_constant(text):
    raise ApiError("InvalidParameter", f"{text} is not JSON")


def read_body(body):
    """The body's object. Empty, cut, repeated or non-UTF-8 input is refused."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_no_repeats, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise ApiError("InvalidParameter", "the body is not a JSON object") from None
    if not isinstance(value, dict):
        raise ApiError("InvalidParameter", "the body is not a JSON object")
    return value


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_tag(value):
    if not isinstance(value, dict) or not set(value) <= {"TagKey", "TagValue"}:
        return False
    return all(isinstance(v, str) for v in value.values())


CHECKS = {
    TEXT: lambda v: isinstance(v, str),
    WHOLE: _is_whole,
    FLAG: lambda v: isinstance(v, bool),
    TEXTS: lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v),
    WHOLES: lambda v: isinstance(v, list) and all(_is_whole(x) for x in v),
    TAGS: lambda v: isinstance(v, list) and all(_is_tag(x) for x in v),
}


def _check_value(name, field, value):
    if not CHECKS[field.kind](value):
        raise ApiError("InvalidParameter", f"the type of parameter {name} must be {field.kind}")
    if field.kind == WHOLE and ((field.low is not None and value < field.low)
                                or (field.high is not None and value > field.high)):
        raise ApiError("InvalidParameterValue", f"the parameter {name} is out of range")
    if field.values is not None and (value.lower() if field.any_case else value) not in field.values:
        raise ApiError("InvalidParameterValue", f"the parameter {name} must be one of {field.values}")


def check(action, parameters, actions=None):
    """Raises ApiError unless these parameters fit the action."""
    fields = (ACTIONS if actions is None else actions).get(action)
    if fields is None:
        raise ApiError("InvalidAction", f"the action {action} does not exist")
    for name, value in parameters.items():
        if name not in fields:
            raise ApiError("UnknownParameter", f"the parameter {name} is not recognized")
        _check_value(name, fields[name], value)
    for name, field in fields.items():
        if field.required and name not in parameters:
            raise ApiError("MissingParameter", f"the request is missing a required parameter {name}")
        if field.required and parameters[name] == "":
            raise ApiError("InvalidParameterValue", f"the parameter {name} is empty")
