# Reads a JUnit file with Python's XML parser, holds its structure against Jenkins' junit-10.xsd
# (which elements and attributes stand where, and the counts) and prints it as JSON.
import json
import sys
import xml.etree.ElementTree as ElementTree

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "classname"},
    "failure": {"message"},
    "error": {"message"},
    "skipped": {"message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase"],
    "properties": ["property"],
    "testcase": ["skipped", "error", "failure", "system-out"],
}


def check(element):
    assert set(element.attrib) == ATTRIBUTES[element.tag], element.attrib
    order = CHILDREN.get(element.tag, [])
    places = [order.index(child.tag) for child in element]
    assert places == sorted(places), element.tag
    for child in element:
        check(child)


root = ElementTree.parse(sys.argv[1]).getroot()
assert root.tag == "testsuites" and len(root) == 1
check(root)
suite = root[0]
cases = []
for case in suite.findall("testcase"):
    assert len(case) <= 1
    entry = {"classname": case.get("classname"), "name": case.get("name"), "result": "passed"}
    for inside in case:
        entry["result"] = "passed" if inside.tag == "system-out" else inside.tag
        entry["message"] = inside.get("message", inside.text)
        if inside.tag in ("failure", "error"):
            assert inside.text == inside.get("message")
    cases.append(entry)
for element in (root, suite):
    assert int(element.get("tests")) == len(cases)
    for attribute, result in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        if attribute in ATTRIBUTES[element.tag]:
            assert int(element.get(attribute)) == sum(c["result"] == result for c in cases)
properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
print(json.dumps({"name": suite.get("name"), "properties": properties, "cases": cases}))
