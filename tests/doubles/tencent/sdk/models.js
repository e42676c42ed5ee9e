"use strict";
// Reads the vendor's own declarations (ssl_models.d.ts) and judges values by them.
const fs = require("fs");

function read(path) {
  const text = fs.readFileSync(path, "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  const found = new Map();
  for (const match of text.matchAll(/export interface (\w+) \{([^}]*)\}/g)) {
    const fields = new Map();
    for (const [, name, mark, type] of match[2].matchAll(/^\s*(\w+)(\??): ([^;]+);/gm)) {
      fields.set(name, { optional: mark === "?", type: type.trim() });
    }
    found.set(match[1], fields);
  }
  for (const match of text.matchAll(/export type (\w+) = null;/g)) found.set(match[1], new Map());
  return found;
}

function kind(type) {
  const simple = { string: "string", number: "integer", "number | bigint": "integer", boolean: "boolean" };
  if (simple[type]) return simple[type];
  const list = /^Array<(.+)>$/.exec(type);
  if (!list) return type;
  return "array of " + (list[1] === "Tags" ? "Tag" : kind(list[1]));
}

// Every way in which value is not what the type says; declared fields that are not there are collected in missing.
function judge(models, type, value, at, missing) {
  if (value === null || value === undefined) return [];
  const list = /^Array<(.+)>$/.exec(type);
  if (list) {
    if (!Array.isArray(value)) return [`${at}: not an array`];
    return value.flatMap((item, i) => judge(models, list[1], item, `${at}[${i}]`, missing));
  }
  if (type === "string" || type === "boolean") {
    return typeof value === type ? [] : [`${at}: ${typeof value}, not ${type}`];
  }
  if (type === "number" || type === "number | bigint") {
    return Number.isInteger(value) ? [] : [`${at}: ${JSON.stringify(value)} is no integer`];
  }
  const fields = models.get(type);
  if (!fields) return [`${at}: the vendor declares no ${type}`];
  if (typeof value !== "object" || Array.isArray(value)) return [`${at}: not a ${type}`];
  const strangers = Object.keys(value).filter((name) => !fields.has(name));
  const faults = strangers.map((name) => `${at}.${name}: unknown to ${type}`);
  for (const [name, field] of fields) {
    if (name in value) faults.push(...judge(models, field.type, value[name], `${at}.${name}`, missing));
    else missing.add(`${type}.${name}`);
  }
  return faults;
}

module.exports = { read, kind, judge };
