"""How an entry looks in the replies of the Describe calls."""

import time

from products import Product
from state import PENDING, detail_of
from when import gmt8

STATUS = {"issued": 1, "failed": 2, "cancelling": 6, "cancelled": 7, "revoking": 9, "revoked": 10, "letter": 12}
STATUS_NAMES = {0: "审核中", 1: "已签发", 2: "审核失败", 3: "已过期", 4: "待验证", 5: "待提交资料", 6: "订单取消中", 7: "已取消", 8: "待上传确认函",
                9: "证书吊销中", 10: "已吊销", 11: "重颁发中", 12: "待上传吊销确认函", 13: "免费证书待提交资料", 14: "已退款", 15: "证书迁移中"}
# Of CA certificates and of services that are not played here: present in every reply, empty.
AUTHORITY = {"CACommonNames": None, "CAEncryptAlgorithms": None, "CAEndTimes": None}
UNUSED = ("CertServiceBeginTime", "CertServiceEndTime", "CertServiceShareEnabled", "CertServiceValidCertificateCount",
          "HostingCompleteTime",
          "HostingConfig", "HostingRenewCertId", "HostingResourceTypes", "IsHostingUploadRenewCert", "ServiceId",
          "ServiceStatus")
MESSAGES = {"dcv": "PENDING-DCV", "wait-issue": "WAIT-ISSUE"}


class Renderer:
    """Renders entries of one consistent view (entries may be an old snapshot)."""

    def __init__(self, entries, variants, now, uin):
        self.entries, self.variants, self.now, self.uin = entries, variants, now, uin

    # -- status

    def status(self, e):
        if e["held"]:
            return e["held"]["status"]
        if e["phase"] == "issued":
            if e["cert"]["not_after"] <= self.now:
                return 3
            return 11 if self.variants["status_11"] in ("original", "both") and self._reissue_of(e) else 1
        if e["phase"] in STATUS:
            return STATUS[e["phase"]]
        if e["original"] and (self.variants["status_11"] in ("new", "both") or self.variants["replace_id"] == "same"):
            return 11
        if e["method"] == "DNS_AUTO" and e["phase"] == "dcv":
            return 4
        return self.variants["pending_status"]

    def message(self, e):
        if e["held"] and e["held"].get("message") is not None:
            return e["held"]["message"]
        if self.variants["status_msg"] == "null":
            return None
        if self.variants["status_msg"] == "stale" and e["phase"] in (*PENDING, "issued"):
            return "CA-REVIEWING"
        if e["phase"] == "review":
            return "LEGAL-REVIEWING" if Product(e["package_type"]).reviewed_here else "CA-REVIEWING"
        return MESSAGES.get(e["phase"], e["message"])

    def _reissue_of(self, e):
        return next((x for x in self.entries.values() if x["original"] == e["key"] and not x["hidden"] and
                     x["phase"] in (*PENDING, "cancelling")), None)

    # -- replies

    def extra(self, e):
        links = self.variants["links"]
        return {"DomainNumber": str(len(e["names"])), "OriginCertificateId": None,
                "ReplacedBy": e["replaced_by"] if links in ("both", "new") else None,
                "ReplacedFor": e["replaced_for"] if links in ("both", "original") else None,
                "RenewOrder": None, "ServiceOriginCertificateId": None, "ServiceRenewCertificateId": None,
                "SMCert": int(Product(e["package_type"]).sm2), "CompanyType": 2 if e["organization"] else None}

    def common(self, e):
        """What the list and both single calls share."""
        p, status, cert = Product(e["package_type"]), self.status(e), e["cert"]
        wild = any(n.startswith("*.") for n in e["names"])
        return {
            "OwnerUin": self.uin, "ProjectId": "0", "From": e["from"], "PackageType": e["package_type"],
            "PackageTypeName": p.name,
            "ProductZhName": p.name, "CertificateType": "SVR", "Domain": e["domain"], "Alias": e["alias"],
            "Status": status,
            "StatusMsg": self.message(e), "StatusName": STATUS_NAMES.get(status, ""), "VerifyType": e["method"],
            "VulnerabilityStatus": "INACTIVE", "CertBeginTime": gmt8(cert["not_before"]) if cert else None,
            "CertEndTime": gmt8(cert["not_after"]) if cert else None, "InsertTime": gmt8(e["insert_time"]),
            "ValidityPeriod": str(max(1, round((cert["not_after"] - cert["not_before"]) / 2629800))) if cert else "3",
            "CertificateExtra": self.extra(e), "IsVip": bool(e["package_type"]) and not p.free, "IsDv": p.kind == "DV",
            "IsWildcard": wild, "IsVulnerability": False,
            "RenewAble": bool(cert) and cert["not_after"] - self.now < 30 * 86400,
            "SubmittedData": None, "Deployable": status == 1, "Tags": [], "CertificateId": e["id"]}

    def in_list(self, e):
        p, cert, status = Product(e["package_type"]), e["cert"], self.status(e)
        found = self.common(e)
        del found["SubmittedData"]
        # Our double's list shows both arrays with the primary domain, as the reference says of the list alone.
        found.update({
            "SubjectAltName": list(e["names"]), "CertSANs": list(e["names"]), "IsSM": p.sm2,
            "IsExpiring": bool(cert) and 0 < cert["not_after"] - self.now < 30 * 86400, "AllowDownload": status == 1,
            "IsDNSPODResolve": e["dnspod"], "IsPackage": False, "KeyPasswordCustomFlag": bool(e["key_password"]),
            "SupportDownloadType": {n: status == 1
                                    for n in ("NGINX", "APACHE", "TOMCAT", "IIS", "JKS", "OTHER", "ROOT")},
            "DVAuthDeadline": gmt8(e["deadline"]), "ValidationPassedTime": gmt8(e["passed_at"]),
            "AwaitingValidationMsg": "",
            "CertRevokedTime": gmt8(e["revoked_at"]), "AutoRenewFlag": 0, "HostingStatus": None, "HasRenewOrder": None,
            "ReplaceOriCertIsDelete": False, "EncryptAlgorithm": algorithm(e["key_type"]) if cert else None,
            "BoundResource": [],
            "ProjectInfo": None, "PreAuditInfo": None, "IsIgnore": False, **AUTHORITY, **dict.fromkeys(UNUSED)})
        return found

    def single(self, e):
        """DescribeCertificate."""
        found = self.common(e)
        found.update({"SubjectAltName": list(e["names"]),
                      "OrderId": None if e["from"] == "upload" else "order-" + e["key"],
                      "DvAuthDetail": detail_of(e, self.variants, self.now),
                      "DvRevokeAuthDetail": e["revoke_auths"] or None,
                      "VulnerabilityReport": None, "SubmittedData": self.submitted(e), **AUTHORITY})
        return found

    def full(self, e):
        """DescribeCertificateDetail."""
        p, found, cert = Product(e["package_type"]), self.single(e), e["cert"]
        for name in ("PackageTypeName", *AUTHORITY):
            del found[name]
        wild = found["IsWildcard"]
        many = len([n for n in e["names"] if n != e["domain"]]) > 0
        found.update({
            "SubjectAltName": [n for n in e["names"] if n != e["domain"]],
            "CertificatePrivateKey": e["private_key"], "CertificatePublicKey": cert["public"] if cert else None,
            "RootCert": {"Sign": None, "Encrypt": None, "Standard": cert["root"] if cert else None},
            "EncryptCert": None, "EncryptPrivateKey": None, "EncryptCertFingerprint": None,
            "CertFingerprint": cert["sha1"] if cert else None,
            "EncryptAlgorithm": algorithm(e["key_type"]) if cert else None,
            "CertChainInfo": None, "DomainType": 1 + many + 2 * wild, "CertType": p.kind, "UseCrossSignRoot": False,
            "HostingStatus": None, "TypeName": p.name})
        return found

    def submitted(self, e):
        if not e["package_type"] or Product(e["package_type"]).free:
            return None
        o = e["organization"]
        names = ("OrganizationName", "OrganizationDivision", "OrganizationAddress", "OrganizationCountry",
                 "OrganizationCity",
                 "OrganizationRegion", "PostalCode", "PhoneAreaCode", "PhoneNumber", "AdminFirstName", "AdminLastName",
                 "AdminPhoneNum",
                 "AdminEmail", "AdminPosition", "ContactFirstName", "ContactLastName", "ContactNumber", "ContactEmail",
                 "ContactPosition")
        return {"CsrType": e["csr_type"], "CsrContent": e["csr"], "CertificateDomain": e["domain"],
                "DomainList": [n for n in e["names"] if n != e["domain"]], "KeyPassword": e["key_password"],
                **{name: o.get(name, "") for name in names}, "VerifyType": e["method"]}


def algorithm(key_type):
    return {"ec-p256": "ECC 256", "ec-p384": "ECC 384", "sm2": "SM2"}.get(key_type, "RSA " + key_type.partition("-")[2])


def log_line(line, uin):
    return {**line, "Uin": uin, "SubAccountUin": uin,
            "CreatedOn": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(line["CreatedOn"] + 8 * 3600))}
