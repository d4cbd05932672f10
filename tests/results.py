#!/usr/bin/env python3
"""Counts the results in a file that a test runner left: "PASSED FAILED SKIPPED".

    results.py testlog.json      of meson test
    results.py junit.xml         of pytest
"""
import json
import sys
import xml.etree.ElementTree


def of_meson(path):
    passed = failed = skipped = 0
    with open(path) as f:
        for line in f:
            result = json.loads(line)["result"]
            if result in ("OK", "EXPECTEDFAIL"):
                passed += 1
            elif result == "SKIP":
                skipped += 1
            else:
                failed += 1
    return passed, failed, skipped


def of_pytest(path):
    passed = failed = skipped = 0
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        count = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
        bad = count["failures"] + count["errors"]
        failed += bad
        skipped += count["skipped"]
        passed += count["tests"] - bad - count["skipped"]
    return passed, failed, skipped


def main():
    path = sys.argv[1]
    print(*(of_pytest if path.endswith(".xml") else of_meson)(path))


if __name__ == "__main__":
    main()
