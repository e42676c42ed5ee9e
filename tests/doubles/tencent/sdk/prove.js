"use strict";
// The vendor's SDK, with its own signer and types, drives the double through every action. prove.py starts the double
// and passes, as JSON in the first argument: port, secretId, secretKey, csr, control (socket), and the double's own table
// of parameters.
const assert = require("assert");
const http = require("http");
const path = require("path");
const { createRequire } = require("module");
const models = require("./models.js");

const given = JSON.parse(process.argv[2]);
const sdk = createRequire(path.join(given.install, "package.json"));
const SERVICE = "tencentcloud-sdk-nodejs/tencentcloud/services/ssl/v20191205";
const Client = sdk(`${SERVICE}/ssl_client`).Client;
const declared = models.read(sdk.resolve(`${SERVICE}/ssl_models`).replace(/\.js$/, ".d.ts"));
const missing = new Set();
const driven = new Set();

// The SDK takes the service's name from the host's first label, so the double is called ssl.test and found on loopback.
function lookup(_, options, done) {
  if (options.all) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
}
const agent = new http.Agent({ keepAlive: true, lookup });

function client(change = {}) {
  return new Client({
    credential: { secretId: given.secretId, secretKey: given.secretKey, ...change.credential },
    region: change.region,
    profile: {
      language: change.language,
      httpProfile: { endpoint: `ssl.test:${given.port}`, protocol: "http://", agent, ...change.http },
    },
  });
}

async function call(action, request) {
  const response = await client()[action](request);
  driven.add(action);
  assert.deepStrictEqual(models.judge(declared, action + "Response", response, action, missing), []);
  assert.match(response.RequestId, /^[0-9a-f-]{36}$/);
  return response;
}

async function refused(code, run) {
  await assert.rejects(run, (error) => {
    assert.strictEqual(error.code, code, `${error.code}: ${error.message}`);
    return true;
  });
}

function control(fields) {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath: given.control, path: "/control", method: "POST" }, (reply) => {
      let text = "";
      reply.on("data", (part) => (text += part)).on("end", () => {
        const answer = JSON.parse(text);
        answer.ok ? resolve(answer) : reject(new Error(answer.error));
      });
    });
    request.on("error", reject);
    request.end(JSON.stringify(fields));
  });
}

async function until(test, what) {
  for (const end = Date.now() + 20000; ;) {
    const found = await test();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within 20 s`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

const publish = (key, value) => console.log(`publish ${key} ${value}`);
const status = async (id) => (await call("DescribeCertificate", { CertificateId: id })).Status;

function parametersAreTheVendors() {
  for (const [action, ours] of Object.entries(given.parameters)) {
    const theirs = {};
    for (const [name, field] of declared.get(action + "Request")) {
      theirs[name] = { kind: models.kind(field.type), required: !field.optional };
    }
    assert.deepStrictEqual(ours, theirs, `the parameters of ${action}`);
    assert.strictEqual(typeof client()[action], "function");
  }
}

async function reads() {
  const search = { Limit: 100, Offset: 0, SearchKey: "example", CertificateStatus: [1], Tags: [], ExpirationSort: "ASC" };
  const list = await call("DescribeCertificates", search);
  assert.deepStrictEqual(list.Certificates.map((c) => c.CertificateId), ["free0001"]);
  const all = await call("DescribeCertificates", null);
  assert.strictEqual(all.TotalCount, 3);
  const detail = await call("DescribeCertificateDetail", { CertificateId: "free0001" });
  assert.match(detail.CertificatePublicKey, /^-----BEGIN CERTIFICATE-----/);
  await call("DescribeCertificateDetail", { CertificateId: "paid_ov1" });
  const archive = await call("DownloadCertificate", { CertificateId: "free0001" });
  assert.strictEqual(Buffer.from(archive.Content, "base64").toString("latin1", 0, 2), "PK");
  const log = await call("DescribeCertificateOperateLogs", { StartTime: "2000-01-01 00:00:00", Limit: 1000 });
  assert.ok(log.OperateLogs.some((line) => line.Type === "issued"));
}

async function reissue() {
  const request = {
    CertificateId: "free0001",
    ValidType: "DNS",
    CsrType: "upload",
    CsrContent: given.csr,
    Reason: "私钥泄露 — é 🔑",
    SignAlgo: null,
  };
  const id = (await call("ReplaceCertificate", request)).CertificateId;
  assert.notStrictEqual(id, "free0001");
  const order = await call("DescribeCertificate", { CertificateId: id });
  assert.strictEqual(order.CertificateExtra.ReplacedBy, "free0001");
  const auths = order.DvAuthDetail.DvAuths;
  assert.strictEqual(auths.length, 2);
  const before = await call("CheckCertificateDomainVerification", { CertificateId: id });
  assert.deepStrictEqual(before.VerificationResults.map((r) => r.LocalCheck), [-1, -1]);
  for (const auth of auths) publish(auth.DvAuthKey, auth.DvAuthValue);
  const checked = async () => {
    const reply = await call("CheckCertificateDomainVerification", { CertificateId: id }).catch(() => null);
    return reply?.VerificationResults?.every((r) => r.LocalCheck === 1) || (await status(id)) === 1;
  };
  await until(checked, "the records seen");
  await call("CompleteCertificate", { CertificateId: id }).catch((error) =>
    assert.strictEqual(error.code, "FailedOperation.CertificateNotFoundOrAudited"),
  );
  await until(async () => (await status(id)) === 1, "issued");
  const issued = await call("DescribeCertificateDetail", { CertificateId: id });
  assert.strictEqual(issued.CertificatePrivateKey, null);
  const original = await call("DescribeCertificateDetail", { CertificateId: "free0001" });
  assert.strictEqual(issued.CertEndTime, original.CertEndTime);
  await refused("FailedOperation.OrderAlreadyReplaced", () => call("ReplaceCertificate", request));
}

async function otherEnds() {
  const request = {
    CertificateId: "paid_ov1",
    ValidType: "DNS",
    CsrType: "online",
    CertCSREncryptAlgo: "ECC",
    CertCSRKeyParameter: "secp384r1",
    UseCrossSignRoot: true,
    CsrkeyPassword: "password",
  };
  const first = (await call("ReplaceCertificate", request)).CertificateId;
  await call("CompleteCertificate", { CertificateId: first });
  assert.strictEqual((await call("CancelAuditCertificate", { CertificateId: first })).Result, true);
  await until(async () => (await status(first)) === 7, "cancelled");
  await call("ModifyCertificateResubmit", { CertificateId: first });
  assert.strictEqual(await status(first), 0);
  await call("CancelCertificateOrder", { CertificateId: first });
  await until(async () => (await status(first)) === 7, "cancelled again");
  const revoked = await call("RevokeCertificate", { CertificateId: "paid_dv1", Reason: "key compromised" });
  for (const auth of revoked.RevokeDomainValidateAuths) publish(auth.DomainValidateAuthKey, auth.DomainValidateAuthValue);
  await until(async () => (await status("paid_dv1")) === 10, "revoked");
}

async function refusals() {
  const list = (change) => () => client(change).DescribeCertificates({});
  await refused("AuthFailure.SignatureFailure", list({ credential: { secretKey: "wrong" } }));
  await refused("AuthFailure.SecretIdNotFound", list({ credential: { secretId: "AKIDUNKNOWN" } }));
  await refused("AuthFailure.TokenFailure", list({ credential: { token: "stray" } }));
  await refused("UnsupportedProtocol", list({ http: { reqMethod: "GET" } }));
  await refused("UnknownParameter", () => client().DescribeCertificates({ Bogus: 1 }));
  await refused("InvalidParameter", () => client().DescribeCertificates({ Limit: "10" }));
  await refused("MissingParameter", () => client().DescribeCertificate({ CertificateId: null }));
  await refused("InvalidAction", () => client().DescribeDownloadCertificateUrl({ CertificateId: "free0001" }));
  const answer = await client({ language: "en-US", region: "ap-guangzhou" }).DescribeCertificates({});
  assert.ok(answer.TotalCount > 0);
  await control({ op: "clock", skew_s: 1000 });
  await refused("AuthFailure.SignatureExpire", () => client().DescribeCertificates({}));
  await control({ op: "clock", skew_s: 0 });
  await control({ op: "fault", kind: "internal-error-after", action: "DescribeCertificates" });
  await refused("InternalError", () => client().DescribeCertificates({}));
  for (const kind of ["lost-after", "cut-json", "not-json"]) {
    await control({ op: "fault", kind, action: "DescribeCertificates" });
    await assert.rejects(() => client().DescribeCertificates({}), undefined, kind);
  }
}

async function main() {
  parametersAreTheVendors();
  await reads();
  await reissue();
  await otherEnds();
  await refusals();
  assert.deepStrictEqual([...driven].sort(), Object.keys(given.parameters).sort(), "every action was driven");
  assert.deepStrictEqual([...missing].sort(), [], "fields that the vendor declares and the double leaves out");
  console.log(`proved ${driven.size} actions`);
  agent.destroy();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
