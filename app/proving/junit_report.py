"""A proof as JUnit XML, for continuous integration that shows test reports."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

from agent.gate.compare import file_of
from agent.proving.records import RED_THEN_GREEN, ChangeProof
from agent.text.visible import visible
from app.proving.text_report import headline, text_report

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(proof: ChangeProof) -> bytes:
    """The proof as one test case, and another for each test of the change."""
    cases = [("proof", "" if proof.verdict == "proven" else headline(proof))]
    cases += [(t.name, "" if t.said in RED_THEN_GREEN else t.said) for t in proof.tests]
    cases += [(name, "fails with the change") for name in proof.broken]
    failing = sum(bool(why) for _, why in cases)
    suite = Element("testsuite", name="patchwright prove", errors="0", skipped="0")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(failing))
    details = {test.name: test.message for test in proof.tests}
    for name, why in cases:
        found = SubElement(suite, "testcase", name=_text(name), classname=_text(file_of(name)))
        if why:
            said = SubElement(found, "failure", message=_text(why), type=proof.verdict)
            said.text = _text(details.get(name, "\n".join(proof.missing)))
    SubElement(suite, "system-out").text = _text(text_report(proof))
    whole = Element("testsuites")
    whole.append(suite)
    written: bytes = tostring(whole, encoding="utf-8", xml_declaration=True)
    return written


def _text(text: str) -> str:
    """Text as XML can hold it, and as harmless as on a terminal."""
    return _NOT_XML.sub("\ufffd", visible(text))
