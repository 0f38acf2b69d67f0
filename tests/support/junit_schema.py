"""A schema of JUnit's XML, written for these tests from what its readers document (Ant, Jenkins, GitLab).

JUnit has no schema of its own; this one is stricter than those in use: elements and attributes beyond the
documented ones are refused, and so are counts that are no numbers. libxml2 (lxml) checks it.
"""

from lxml import etree

_COUNTS = "".join(
    f'<xs:attribute name="{name}" type="xs:nonNegativeInteger"{use}/>'
    for name, use in (("tests", ' use="required"'), ("failures", ""), ("errors", ""), ("skipped", ""))
)
_TEXTS = "".join(f'<xs:attribute name="{name}" type="xs:string"/>' for name in ("hostname", "id", "package"))
_RESULT = (
    '<xs:complexType name="result"><xs:simpleContent><xs:extension base="xs:string">'
    '<xs:attribute name="message" type="xs:string"/><xs:attribute name="type" type="xs:string"/>'
    "</xs:extension></xs:simpleContent></xs:complexType>"
)
_RESULTS = "".join(f'<xs:element name="{name}" type="result"/>' for name in ("skipped", "error", "failure"))
_OUTPUTS = "".join(
    f'<xs:element name="{name}" type="xs:string" minOccurs="0"/>' for name in ("system-out", "system-err")
)
XSD = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
{_RESULT}
<xs:complexType name="case"><xs:sequence>
<xs:choice minOccurs="0">{_RESULTS}</xs:choice>{_OUTPUTS}</xs:sequence>
<xs:attribute name="name" type="xs:string" use="required"/>
<xs:attribute name="classname" type="xs:string" use="required"/>
<xs:attribute name="time" type="xs:decimal"/></xs:complexType>
<xs:complexType name="suite"><xs:sequence>
<xs:element name="testcase" type="case" minOccurs="0" maxOccurs="unbounded"/>{_OUTPUTS}</xs:sequence>
<xs:attribute name="name" type="xs:string" use="required"/>{_COUNTS}
<xs:attribute name="time" type="xs:decimal"/><xs:attribute name="timestamp" type="xs:dateTime"/>{_TEXTS}
</xs:complexType>
<xs:element name="testsuites"><xs:complexType><xs:sequence>
<xs:element name="testsuite" type="suite" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
<xs:attribute name="name" type="xs:string"/><xs:attribute name="time" type="xs:decimal"/>
</xs:complexType></xs:element>
</xs:schema>"""


def check(text: bytes) -> etree._Element:
    """Read a JUnit file; every suite's counts must also be those of its cases."""
    root = etree.fromstring(text)
    etree.XMLSchema(etree.fromstring(XSD)).assertValid(root)
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.get("tests")) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "0")) == len(suite.findall(f"testcase/{tag}")), attribute
    return root
