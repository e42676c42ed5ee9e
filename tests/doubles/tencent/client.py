"""A signed call without any SDK, for tests."""

import http.client
import json

import tc3


def call(address, credential, action, parameters=None, version="2019-12-05", timestamp=None, headers=None, body=None,
         timeout=30):
    """One POST; returns (status, headers, Response or None, raw bytes)."""
    raw = json.dumps(parameters or {}).encode() if body is None else body
    signed = tc3.sign(credential["secret_id"], credential["secret_key"], address, raw, timestamp)
    signed.update({"X-TC-Action": action, "X-TC-Version": version})
    if credential.get("token"):
        signed["X-TC-Token"] = credential["token"]
    for name, value in (headers or {}).items():
        signed.pop(name, None)
        if value is not None:
            signed[name] = value
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    try:
        connection.request("POST", "/", raw, signed)
        reply = connection.getresponse()
        data = reply.read()
    finally:
        connection.close()
    try:
        response = json.loads(data).get("Response")
    except ValueError:
        response = None
    return reply.status, reply.headers, response, data
