#!/usr/bin/env python3
"""check.py PROGRAMS SOURCE: what the pages say is what the programs say. Man pages render without a warning, and every
option, command and exit status of --help is on its page, and the other way round."""

import json
import os
import re
import shutil
import subprocess
import sys
import unittest

PROGRAMS, SOURCE = sys.argv[1:3]
PAGES = {"dcvctl": "dcvctl.8", "dcvd": "dcvd.8", "dcvd.yaml": "dcvd.yaml.5"}


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


def page(name):
    """The text of a man page without its roff."""
    text = read("docs", "man", PAGES[name]).replace("\\-", "-")
    return re.sub(r'\\f[BIR]|"', "", text)


def run(name, *arguments):
    done = subprocess.run([os.path.join(PROGRAMS, name), *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (name, arguments, done.stderr)
    return done.stdout


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text))


class Pages(unittest.TestCase):
    def test_they_render_without_a_warning(self):
        groff = shutil.which("groff")
        if not groff:
            self.skipTest("groff is not installed (Debian: groff-base)")
        for name in PAGES.values():
            done = subprocess.run([groff, "-man", "-Tutf8", "-ww", "-z", os.path.join(SOURCE, "docs", "man", name)],
                                  capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    def test_dcvd_has_the_options_of_its_page(self):
        self.assertEqual(options(run("dcvd", "--help")), options(page("dcvd")))

    def test_dcvctl_has_the_options_and_commands_of_its_page(self):
        shown = run("dcvctl", "--help")
        names = re.findall(r"(?m)^  ([a-z]+) +\S", shown.split("options of every command")[0])
        self.assertIn("status", names)
        found = options(shown)
        text = page("dcvctl")
        for name in names:
            one = run("dcvctl", name, "--help")
            own = options(one.split("options of every command")[0].split("examples:")[0])
            self.assertRegex(text, rf"(?m)^{name}( |$)", f"{name} is not on the page")
            self.assertLessEqual(own, options(text), name)
            found |= own
            for flag in own:  # the synopsis and the list of a command name the same options
                self.assertEqual(one.count(flag) > 1 or flag == "--yes", True, f"{name} {flag} is not explained")
        self.assertEqual(found, options(text))

    def test_the_catalogue_of_checks_is_the_programs_own(self):
        self.assertEqual(run("dcvctl", "check", "--catalogue"), read("docs", "checks.md"),
                         "run: dcvctl check --catalogue > docs/checks.md")

    def test_every_exit_status_is_on_the_page_and_in_the_readme(self):
        for status in ("0", "1", "2", "3", "4", "5", "130"):
            self.assertRegex(page("dcvctl"), rf"(?m)^\.B {status}$")
            self.assertRegex(read("README.md"), rf"(?m)^\| {status} \|")
        for status in ("75", "78"):
            self.assertRegex(page("dcvd"), rf"(?m)^\.B {status}$")
            self.assertIn(status, run("dcvd", "--help"))

    def test_the_readme_installs_what_a_build_needs(self):
        first_step = read("README.md").partition("## Five-minute start")[2].partition("\n2. ")[0]
        for package in re.findall(r"\blib[a-z0-9.-]+-dev\b", read("tests", "packages.sh")):
            self.assertIn(f" {package}", first_step)

    def test_the_readme_names_every_setting_and_state(self):
        schema = json.loads(run("dcvd", "--print-schema"))
        readme, manual = read("README.md"), page("dcvd.yaml")
        for section in schema["properties"]:
            if section not in ("include", "alerts"):
                self.assertIn(f"`{section}", readme, f"{section} is not in the README")
            self.assertIn(section, manual, f"{section} is not in dcvd.yaml(5)")
        states = re.findall(r'(?m)^ +\[JOB_\w+\] = \{ "(\w+)"', read("agent", "job", "state.c"))
        self.assertGreater(len(states), 12)
        for state in states:
            self.assertIn(f"`{state}`", readme, f"the state {state} is not in the README")

    def test_every_key_of_a_certificate_is_on_its_page(self):
        schema = json.loads(run("dcvd", "--print-schema"))
        manual = page("dcvd.yaml")

        def walk(node):
            for key, below in node.get("properties", {}).items():
                yield key
                yield from walk(below)
            for word in ("anyOf", "oneOf"):
                for one in node.get(word, []):
                    yield from walk(one)
            for word in ("items", "additionalProperties"):
                if isinstance(node.get(word), dict):
                    yield from walk(node[word])
        for other in ("cas", "publishers", "alerts"):  # a union of types, some of later builds
            schema["properties"].pop(other, None)
        for key in sorted(set(walk(schema))):
            self.assertTrue(re.search(rf"\b{re.escape(key)}\b", manual), f"{key} is not in dcvd.yaml(5)")


unittest.main(argv=["check.py"])
