"""SAML: assertions that hold, and every way in which one may not; wrapped signatures above all."""

from __future__ import annotations

import base64
import sys

import pytest
from lxml import etree
from signxml import CanonicalizationMethod, DigestAlgorithm, SignatureMethod

from components.authorizer import saml_idp as idp
from components.authorizer.saml_idp import AUDIENCE, ENTITY, RECIPIENT, assertion, credential, date, signed, xml
from gatekeep.components.authorizer import ANY, ApiKey, Authorize, any_of
from gatekeep.components.authorizer.saml import SAML
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.testing import FakeClock

DS = "{http://www.w3.org/2000/09/xmldsig#}"
NS = f"{{{idp.SAML}}}"
KEY = "k-0123456789abcdefghij"


def authenticator(*names, **options):
    settings = {"audience": AUDIENCE, "recipient": RECIPIENT, "roles": "groups", "scopes": "scope", **options}
    return SAML(idp.metadata(*(names or ("idp",))), **settings)


def whoami(request):
    principal = current().principal
    return 200, [], f"{principal.kind}:{principal.issuer}:{principal.id}".encode()


@pytest.fixture
def client(site):
    return site(Authorize(authenticator()), clock=FakeClock(), view=whoami)


def code(answer) -> str:
    return answer.json()["code"] if answer.status >= 400 else ""


# What holds.


def test_an_assertion_that_holds(client):
    for _ in range(2):  # verified, then remembered
        assert client.get("/", headers=assertion()).body == f"saml:{ENTITY}:alice".encode()


def test_what_it_makes_of_the_caller(site):
    seen = []

    def view(request):
        seen.append(current().principal)
        return 200, [], b""

    spec = Authorize(authenticator(), scopes={"orders:read"}, any_role={"staff"}, claims={"groups": "admin"})
    assert site(spec, clock=FakeClock(), view=view).get("/", headers=assertion()).status == 200
    principal = seen[0]
    assert principal.roles == {"staff", "admin"}
    assert principal.scopes == {"orders:read", "orders:write"}
    assert dict(principal.claims) == {
        "groups": ("staff", "admin"),
        "scope": ("orders:read orders:write",),
        "name_id_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
        "session_index": "s1",
    }


def test_base64_of_both_alphabets_with_and_without_padding(client):
    text = assertion()["authorization"].removeprefix("SAML ")
    for form in (text, text.rstrip("="), text.replace("+", "-").replace("/", "_")):
        assert client.get("/", headers={"authorization": f"saml {form}"}).status == 200


def test_in_a_field_of_its_own(site):
    client = site(Authorize(authenticator(header="X-Assertion")), clock=FakeClock(), view=whoami)
    text = assertion()["authorization"].removeprefix("SAML ")
    assert client.get("/", headers={"x-assertion": text}).status == 200
    assert code(client.get("/", headers=assertion())) == "assertion_missing"
    assert code(client.get("/", headers=[("x-assertion", text), ("x-assertion", text)])) == "ambiguous_credentials"


@pytest.mark.parametrize("name", ["idp", "second", "ec"])
def test_any_certificate_of_the_metadata_will_do(site, name):
    client = site(Authorize(authenticator("idp", "second", "ec")), clock=FakeClock(), view=whoami)
    assert client.get("/", headers=credential(signed(xml(), name))).status == 200


def test_without_a_session_or_attributes(client):
    assert client.get("/", headers=assertion(authn="", attributes="")).status == 200


def test_several_audiences_and_recipients(site):
    spec = Authorize(authenticator(audience=["x", AUDIENCE], recipient={"y", RECIPIENT}))
    assert site(spec, clock=FakeClock()).get("/", headers=assertion()).status == 200


def test_a_recipient_that_is_not_checked(site):
    client = site(Authorize(authenticator(recipient=ANY)), clock=FakeClock())
    other = idp.GOOD["confirmation"].replace(RECIPIENT, "https://elsewhere")
    assert client.get("/", headers=assertion(confirmation=other)).status == 200


def test_it_holds_until_it_ends(site):
    clock = FakeClock()
    client = site(Authorize(authenticator()), clock=clock)
    headers = assertion()
    assert client.get("/", headers=headers).status == 200
    clock.advance(309)
    assert client.get("/", headers=headers).status == 200
    clock.advance(2)
    assert code(client.get("/", headers=headers)) == "assertion_expired"


def test_one_that_is_not_valid_yet_is_judged_anew(site):
    clock = FakeClock()
    client = site(Authorize(authenticator()), clock=clock)
    headers = assertion(conditions=idp.GOOD["conditions"].replace(date(-60), date(60)))
    assert code(client.get("/", headers=headers)) == "assertion_not_yet_valid"
    clock.advance(60)
    assert client.get("/", headers=headers).status == 200


# What a client without a good one sees.


def test_none(client):
    for headers in ({}, {"authorization": "Bearer x"}):
        answer = client.get("/", headers=headers)
        assert (answer.status, code(answer)) == (401, "assertion_missing")
        assert answer.headers.get("www-authenticate") == "SAML"


def test_two_are_a_400(client):
    one = assertion()["authorization"]
    answer = client.get("/", headers=[("authorization", one), ("authorization", one)])
    assert (answer.status, code(answer)) == (400, "ambiguous_credentials")


def test_what_a_refusal_says(client):
    answer = client.get("/", headers=assertion(root='Version="1.1" ID="_a1"'))
    assert answer.headers.get("www-authenticate") == (
        'SAML error="invalid_assertion", error_description="The assertion is malformed: its version is not 2.0."'
    )


def test_one_of_another_provider_is_for_another_authenticator(site):
    client = site(Authorize(any_of(authenticator(), ApiKey({KEY: "acme"}))), clock=FakeClock(), view=whoami)
    foreign = assertion(issuer="<saml:Issuer>https://other</saml:Issuer>")
    assert client.get("/", headers={**foreign, "x-api-key": KEY}).body == b"api_key::acme"
    assert code(client.get("/", headers=foreign)) == "invalid_issuer"


# Contents that don't hold, though well signed.

CONFIRMATION, CONDITIONS = idp.GOOD["confirmation"], idp.GOOD["conditions"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"root": 'Version="1.1" ID="_a1"'}, "assertion_malformed"),
        ({"issuer": f"<saml:Issuer>{ENTITY}x</saml:Issuer>"}, "invalid_issuer"),
        ({"issuer": ""}, "invalid_issuer"),
        ({"issuer": f"<saml:Issuer>{ENTITY}</saml:Issuer>" * 2}, "assertion_malformed"),
        ({"issuer": f'<saml:Issuer Format="urn:x">{ENTITY}</saml:Issuer>'}, "invalid_issuer"),
        ({"name": ""}, "assertion_malformed"),
        ({"name": "<saml:NameID> </saml:NameID>"}, "assertion_malformed"),
        ({"name": "<saml:NameID>a<saml:b/></saml:NameID>"}, "assertion_malformed"),
        ({"name": idp.GOOD["name"] * 2}, "assertion_malformed"),
        ({"name": "<saml:EncryptedID/>"}, "assertion_malformed"),
        ({"confirmation": ""}, "invalid_confirmation"),
        ({"confirmation": CONFIRMATION.replace("bearer", "holder-of-key")}, "invalid_confirmation"),
        ({"confirmation": CONFIRMATION.replace(RECIPIENT, "https://elsewhere")}, "invalid_confirmation"),
        ({"confirmation": CONFIRMATION.replace(f' Recipient="{RECIPIENT}"', "")}, "invalid_confirmation"),
        ({"confirmation": CONFIRMATION.replace(f'NotOnOrAfter="{date(300)}" ', "")}, "invalid_confirmation"),
        ({"confirmation": CONFIRMATION.replace("NotOnOrAfter", f'NotBefore="{date(-9)}" NotOnOrAfter')}, "invalid_confirmation"),
        ({"confirmation": CONFIRMATION.replace(date(300), date(-11))}, "assertion_expired"),
        ({"confirmation": CONFIRMATION.replace(date(300), "soon")}, "assertion_malformed"),
        ({"confirmation": f'<saml:SubjectConfirmation Method="{idp.BEARER}"/>'}, "invalid_confirmation"),
        ({"conditions": ""}, "assertion_malformed"),
        ({"conditions": CONDITIONS * 2}, "assertion_malformed"),
        ({"conditions": CONDITIONS.replace(date(600), date(-11))}, "assertion_expired"),
        ({"conditions": CONDITIONS.replace(date(600), "2001-09-09T01:46:40")}, "assertion_malformed"),
        ({"conditions": CONDITIONS.replace(date(-60), date(11))}, "assertion_not_yet_valid"),
        ({"conditions": CONDITIONS.replace(AUDIENCE, "https://billing.example.com")}, "invalid_audience"),
        ({"conditions": "<saml:Conditions/>"}, "invalid_audience"),
        ({"conditions": CONDITIONS.replace("</saml:Conditions>", "<saml:OneTimeUse/></saml:Conditions>")}, "invalid_condition"),
        ({"conditions": CONDITIONS.replace("</saml:Conditions>", "<saml:Condition/></saml:Conditions>")}, "invalid_condition"),
        (
            {
                "conditions": CONDITIONS.replace(
                    "</saml:Conditions>",
                    "<saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction></saml:Conditions>",
                )
            },
            "invalid_audience",
        ),
        ({"authn": f'<saml:AuthnStatement SessionNotOnOrAfter="{date(-11)}"/>'}, "assertion_expired"),
        ({"attributes": "<saml:AttributeStatement><saml:Attribute/></saml:AttributeStatement>"}, "assertion_malformed"),
        ({"attributes": idp.GOOD["attributes"] * 2}, "assertion_malformed"),
    ],
)
def test_what_must_hold(client, changes, expected):
    headers = assertion(**changes)
    for _ in range(2):  # judged, then remembered
        answer = client.get("/", headers=headers)
        assert (answer.status, code(answer)) == (401, expected)


def test_of_several_confirmations_one_must_hold(client):
    late = CONFIRMATION.replace(date(300), date(-11))
    assert client.get("/", headers=assertion(confirmation=late + CONFIRMATION)).status == 200
    assert client.get("/", headers=assertion(confirmation=CONFIRMATION.replace("bearer", "x") + CONFIRMATION)).status == 200


# Signatures.


def evil(text: str) -> str:
    return text.replace("alice", "mallory").replace('ID="_a1"', 'ID="_evil"')


def wrapped_as_sibling() -> object:
    """The signed assertion beside an unsigned one, in a root of its own."""
    root = etree.Element(f"{NS}Advice")
    root.append(etree.fromstring(evil(xml())))
    root.append(signed(xml()))
    return root


def wrapped_in_evil() -> object:
    """An unsigned assertion around the signed one."""
    root = etree.fromstring(evil(xml()))
    root.append(signed(xml()))
    return root


def wrapped_in_advice() -> object:
    """The same with the signature pulled up to the evil root."""
    root = etree.fromstring(evil(xml()))
    good = signed(xml())
    signature = good.find(f"{DS}Signature")
    root.insert(1, signature)
    etree.SubElement(root, f"{NS}Advice").append(good)
    return root


def wrapped_in_object() -> object:
    """The signed assertion within an Object of the signature of an evil one."""
    root = etree.fromstring(evil(xml()))
    good = signed(xml())
    signature = good.find(f"{DS}Signature")
    root.insert(1, signature)
    etree.SubElement(signature, f"{DS}Object").append(good)
    return root


def with_the_same_id() -> object:
    """An evil assertion of the signed one's ID around it."""
    root = etree.fromstring(xml().replace("alice", "mallory"))
    good = signed(xml())
    signature = good.find(f"{DS}Signature")
    root.insert(1, signature)
    etree.SubElement(root, f"{NS}Advice").append(good)
    return root


def in_a_response() -> object:
    root = etree.Element("{urn:oasis:names:tc:SAML:2.0:protocol}Response")
    root.append(signed(xml()))
    return root


def changed_afterwards() -> object:
    root = signed(xml())
    root.find(f".//{NS}NameID").text = "mallory"
    return root


def without_a_signature() -> object:
    return xml()


def signed_twice() -> object:
    root = signed(xml())
    root.append(etree.fromstring(etree.tostring(root.find(f"{DS}Signature"))))
    return root


def by_somebody_else() -> object:
    return signed(xml(), "stranger")


def over_everything_unnamed() -> object:
    root = signed(xml())
    root.find(f".//{DS}Reference").set("URI", "")
    return root


def with_sha1() -> object:
    root = signed(xml())
    text = etree.tostring(root).decode()
    return text.replace("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#rsa-sha1")


def with_an_hmac() -> object:
    root = signed(xml())
    root.find(f".//{DS}SignatureMethod").set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")
    return root


def with_an_inclusive_form() -> object:
    return signed(xml(), c14n=CanonicalizationMethod.CANONICAL_XML_1_1)


def with_an_unknown_transform() -> object:
    root = signed(xml())
    transforms = root.find(f".//{DS}Transforms")
    etree.SubElement(transforms, f"{DS}Transform").set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")
    return root


def with_a_digest_of_md5() -> object:
    root = signed(xml())
    root.find(f".//{DS}DigestMethod").set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#md5")
    return root


def with_a_comment_in_the_name() -> object:
    return etree.tostring(signed(xml())).replace(b">alice<", b">alice<!-- -->.evil<")


def with_a_processing_instruction() -> object:
    return b"<?x y?>" + etree.tostring(signed(xml()))


def with_entities() -> object:
    return b'<!DOCTYPE a [<!ENTITY e "alice">]>' + etree.tostring(signed(xml())).replace(b"alice", b"&e;")


def with_a_billion_laughs() -> object:
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE a [<!ENTITY l0 "ha">{lines}]><a>&l9;</a>'


def with_a_file() -> object:
    return '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'


def with_a_dtd_elsewhere() -> object:
    return b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">' + etree.tostring(signed(xml()))


def very_deep() -> object:
    return "<a>" * 5_000 + "</a>" * 5_000


def no_id() -> object:
    return xml(root='Version="2.0"')


def no_xml() -> object:
    return "alice"


def too_long() -> object:
    return xml(attributes=" " * 70_000)


MALFORMED = [
    wrapped_as_sibling,
    wrapped_in_evil,
    wrapped_in_advice,
    wrapped_in_object,
    with_the_same_id,
    in_a_response,
    without_a_signature,
    signed_twice,
    over_everything_unnamed,
    with_an_inclusive_form,
    with_an_unknown_transform,
    with_a_comment_in_the_name,
    with_a_processing_instruction,
    with_entities,
    with_a_billion_laughs,
    with_a_file,
    with_a_dtd_elsewhere,
    very_deep,
    no_id,
    no_xml,
    too_long,
]
UNSIGNED = [changed_afterwards, by_somebody_else, with_sha1, with_an_hmac, with_a_digest_of_md5]


@pytest.mark.parametrize(
    ("make", "expected"),
    [*((make, "assertion_malformed") for make in MALFORMED), *((make, "invalid_signature") for make in UNSIGNED)],
)
def test_forged_assertions(client, make, expected):
    answer = client.get("/", headers=credential(make()))
    assert (answer.status, code(answer)) == (401, expected)
    assert b"mallory" not in answer.body


@pytest.mark.parametrize("text", ["", "%%%", "a", base64.b64encode(b"\x00\xff").decode(), "A" * 100_000, "YWI=Y"])
def test_what_is_no_base64_of_xml(client, text):
    assert code(client.get("/", headers={"authorization": f"SAML {text}"})) == "assertion_malformed"


def test_stronger_algorithms_will_do(client):
    made = signed(xml(), method=SignatureMethod.RSA_SHA512, digest=DigestAlgorithm.SHA384)
    assert client.get("/", headers=credential(made)).status == 200


def test_an_expired_certificate_signs_no_more(site):
    clock = FakeClock()
    saml = SAML(idp.metadata("idp", days=1.001), audience=AUDIENCE, recipient=RECIPIENT)
    client = site(Authorize(saml), clock=clock)
    assert client.get("/", headers=assertion()).status == 200
    clock.advance(200)
    other = assertion(attributes="")
    assert code(client.get("/", headers=other)) == "invalid_signature"


def test_metadata_out_of_date_vouches_for_nobody(site):
    clock = FakeClock()
    saml = SAML(idp.metadata("idp", until=f' validUntil="{date(100)}"'), audience=AUDIENCE, recipient=RECIPIENT)
    client = site(Authorize(saml), clock=clock)
    assert client.get("/", headers=assertion()).status == 200
    clock.advance(101)
    answer = client.get("/", headers=assertion(attributes=""))
    assert (answer.status, code(answer)) == (503, "keys_unavailable")


# Mistakes.


def good(**changes):
    return {"idp_metadata": idp.metadata("idp"), "audience": AUDIENCE, "recipient": RECIPIENT, **changes}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (good(audience=""), "audience="),
        (good(audience=[]), "audience="),
        (good(audience=ANY), "audience="),
        (good(recipient=[7]), "recipient="),
        (good(roles=""), "roles="),
        (good(leeway=-1), "leeway="),
        (good(remember=0), "remember="),
        (good(header="a b"), "header="),
        (good(idp_metadata="<a"), "no well-formed"),
        (good(idp_metadata="<a/>"), "no EntityDescriptor"),
        (good(idp_metadata=idp.metadata("idp", entity="")), "no EntityDescriptor"),
        (good(idp_metadata=idp.metadata("idp").replace("IDPSSODescriptor", "SPSSODescriptor")), "not one IDPSSODescriptor"),
        (good(idp_metadata=idp.metadata("idp", use=' use="encryption"')), "no certificate"),
        (good(idp_metadata=idp.metadata("weak")), "1024 bits"),
        (good(idp_metadata=idp.metadata("ed")), "neither RSA nor EC"),
        (good(idp_metadata=idp.metadata("idp").replace("<ds:X509Certificate>", "<ds:X509Certificate>A")), "can't be read"),
        (good(idp_metadata=idp.metadata("idp", until=' validUntil="soon"')), "not a date"),
    ],
)
def test_mistakes_name_their_line(settings, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        SAML(**settings)
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__


def test_metadata_from_a_file(tmp_path):
    file = tmp_path / "idp.xml"
    with pytest.raises(ConfigurationError, match="No such file"):
        SAML(file, AUDIENCE, RECIPIENT)
    file.write_text(idp.metadata("idp", use=""))
    SAML(file, AUDIENCE, RECIPIENT)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "gatekeep.components.authorizer.saml_metadata")
    monkeypatch.setitem(sys.modules, "gatekeep.components.authorizer.saml_xml", None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatekeep\[saml\]"'):
        SAML(**good())
