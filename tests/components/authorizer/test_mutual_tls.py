"""MutualTLS: where certificates come from, which are taken, for whom; and those of strangers and of forgers."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from components.authorizer import certificates as made
from components.authorizer.certificates import DAY, authority, der, dns, email, ip, leaf, pem, uri
from gatekeep.components.authorizer import ANY, ApiKey, Authorize, all_of, any_of
from gatekeep.components.authorizer.mutual_tls import MutualTLS
from gatekeep.errors import ConfigurationError
from gatekeep.exchange import current
from gatekeep.testing import FakeClock
from servers import PATIENCE, free_port, serving

KEY = "k-0123456789abcdefghij"
PROXY = {"proxies": ["127.0.0.1"]}


def whoami(request):
    principal = current().principal
    return 200, [], f"{principal.kind}:{principal.issuer}:{principal.id}".encode()


def code(answer) -> str:
    return answer.json()["code"] if answer.status >= 400 else ""


def on_connection(protocol, *chain, error=None):
    """Options of a request whose connection has these certificates, as servers hand them over."""
    if protocol == "asgi":
        tls = {"server_cert": None, "client_cert_chain": [pem(one) for one in chain], "client_cert_error": error}
        return {"extensions": {"tls": {**tls, "client_cert_name": None, "tls_version": 0x0304, "cipher_suite": None}}}
    if not chain:
        return {"environ": {"SSL_CLIENT_VERIFY": "NONE"}}
    rest = {f"SSL_CLIENT_CERT_CHAIN_{number}": pem(one) for number, one in enumerate(chain[1:])}
    verify = "SUCCESS" if error is None else f"FAILED:{error}"
    return {"environ": {"SSL_CLIENT_VERIFY": verify, "SSL_CLIENT_CERT": pem(chain[0]), **rest}}


@pytest.fixture
def present(site, protocol):
    """The answer to a request with a certificate on its connection."""

    def ask(authenticator, *chain, clock=None, error=None):
        client = site(Authorize(authenticator), view=whoami, clock=clock or FakeClock())
        return client.get("/", **on_connection(protocol, *chain, error=error))

    return ask


# On the connection.


def test_any_certificate_that_was_verified(present):
    assert present(MutualTLS(ANY), leaf()).body == b"mtls:CN=ca:CN=alice,O=Acme"


def test_without_a_certificate(site, protocol):
    client = site(Authorize(MutualTLS(ANY)))
    for options in ({}, on_connection(protocol), {"scheme": "https"}):
        answer = client.get("/", **options)
        assert (answer.status, code(answer)) == (401, "certificate_missing")
        assert answer.headers.get("www-authenticate") == "ClientCertificate"


def test_one_that_the_server_could_not_verify(present):
    answer = present(MutualTLS(ANY), leaf(), error="unknown ca")
    assert (answer.status, code(answer)) == (401, "certificate_untrusted")
    assert answer.headers.get("www-authenticate") == 'ClientCertificate error="certificate_untrusted"'


def test_one_that_nobody_says_was_verified(site, protocol):
    if protocol == "wsgi":
        client = site(Authorize(MutualTLS(ANY)), clock=FakeClock())
        assert code(client.get("/", environ={"SSL_CLIENT_CERT": pem(leaf())})) == "certificate_untrusted"
        assert client.get("/", environ={"SSL_CLIENT_CERT": pem(leaf()), "werkzeug.socket": object()}).status == 200


def test_fields_do_not_make_a_connection(site, protocol):
    """What a client sends is never the server's word."""
    client = site(Authorize(MutualTLS(ANY)), clock=FakeClock())
    escaped = quote(pem(leaf()))
    forged = {
        "ssl-client-cert": escaped,
        "ssl-client-verify": "SUCCESS",
        "client-cert": f":{base64.b64encode(der(leaf())).decode()}:",
    }
    assert code(client.get("/", headers=forged)) == "certificate_missing"


def test_it_is_in_time(present):
    assert code(present(MutualTLS(ANY), leaf(end=-1))) == "certificate_expired"
    assert code(present(MutualTLS(ANY), leaf(start=5))) == "certificate_not_yet_valid"


def test_it_expires_though_it_is_remembered(site, protocol):
    clock = FakeClock()
    client = site(Authorize(MutualTLS(ANY)), clock=clock)
    options = on_connection(protocol, leaf(end=100))
    assert [client.get("/", **options).status for _ in range(2)] == [200, 200]
    clock.advance(101)
    assert code(client.get("/", **options)) == "certificate_expired"


def test_garbage(site, protocol):
    client = site(Authorize(MutualTLS(ANY)), clock=FakeClock())
    for text in ("x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\u20ac", "x" * 70_000):
        options = on_connection(protocol, leaf())
        if protocol == "asgi":
            options["extensions"]["tls"]["client_cert_chain"] = [text]
        else:
            options["environ"]["SSL_CLIENT_CERT"] = text
        assert code(client.get("/", **options)) == "certificate_malformed"


# Rules.


@pytest.mark.parametrize(
    ("rules", "names", "taken"),
    [
        (["dns:api.example.com"], [dns("api.example.com")], True),
        (["dns:API.example.com"], [dns("api.Example.com")], True),
        (["dns:api.example.com"], [dns("x.api.example.com")], False),
        (["dns:*.example.com"], [dns("api.example.com")], True),
        (["dns:*.example.com"], [dns("a.b.example.com")], False),
        (["dns:*.example.com"], [dns("example.com")], False),
        (["dns:*.example.com"], [dns("evilexample.com")], False),
        (["dns:*.example.com"], [dns("*.example.com")], True),
        (["uri:spiffe://acme/orders"], [uri("spiffe://acme/orders")], True),
        (["uri:spiffe://acme/orders"], [uri("spiffe://acme/orders/x")], False),
        (["uri:spiffe://acme/*"], [uri("spiffe://acme/orders")], True),
        (["uri:spiffe://acme/*"], [uri("spiffe://acme.evil/orders")], False),
        (["uri:spiffe://acme/a/*"], [uri("spiffe://acme/a/../b")], False),
        (["email:alice@example.com"], [email("alice@example.com")], True),
        (["email:alice@example.com"], [dns("alice.example.com")], False),
        (["ip:10.0.0.1"], [ip("10.0.0.1")], True),
        (["ip:2001:db8::1"], [ip("2001:db8:0::1")], True),
        (["dns:a.example.com", "dns:b.example.com"], [dns("x.example.com"), dns("b.example.com")], True),
        (["dns:a.example.com"], [], False),
        (["dns:alice"], [], False),
    ],
)
def test_names(present, rules, names, taken):
    answer = present(MutualTLS(names=rules), leaf("CN=alice", names=tuple(names)))
    assert (answer.status, code(answer)) == ((200, "") if taken else (401, "certificate_unknown"))


@pytest.mark.parametrize(
    ("rule", "subject", "taken"),
    [
        ("CN=alice,O=Acme", "CN=alice,O=Acme", True),
        ("CN=alice,O=Acme", "CN=Alice,O=Acme", False),
        ("CN=alice,O=Acme", "O=Acme,CN=alice", False),
        ("CN=alice", "CN=alice,O=Acme", False),
        ("CN=alice,O=Acme", "CN=alice", False),
        ("CN=*,O=Acme", "CN=bob,O=Acme", True),
        ("CN=*,O=Acme", "CN=bob,O=Evil", False),
        ("CN=*,O=Acme", "OU=bob,O=Acme", False),
        ("CN=alice+OU=x,O=Acme", "OU=x+CN=alice,O=Acme", True),
        (r"CN=a\,b", r"CN=a\,b", True),
        ("CN=alice,O=Acme", r"CN=alice\,O\=Acme", False),
    ],
)
def test_subjects(present, rule, subject, taken):
    assert code(present(MutualTLS([rule]), leaf(subject))) == ("" if taken else "certificate_unknown")


def test_fingerprints(present):
    from hashlib import sha256

    certificate = leaf()
    digest = sha256(der(certificate)).hexdigest()
    colons = ":".join(digest[place : place + 2].upper() for place in range(0, 64, 2))
    assert present(MutualTLS(fingerprints=[digest]), certificate).status == 200
    assert present(MutualTLS(fingerprints={colons: "acme"}), certificate).body == b"mtls::acme"
    assert code(present(MutualTLS(fingerprints=[digest]), leaf())) == "certificate_unknown"


def test_whom_it_stands_for(site, protocol):
    seen = []

    def view(request):
        seen.append(current().principal)
        return 200, [], b""

    whose = {"dns:*.acme.example": {"owner": "acme", "scopes": ["orders:read"], "roles": {"partner"}}}
    client = site(Authorize(MutualTLS(names=whose), scopes={"orders:read"}, roles={"partner"}), view=view, clock=FakeClock())
    names = (dns("api.acme.example"), uri("spiffe://acme/a"), email("a@acme.example"), ip("10.0.0.1"))
    certificate = leaf("CN=x", names=names)
    assert client.get("/", **on_connection(protocol, certificate)).status == 200
    principal = seen[0]
    assert principal.key == ("mtls", "", "acme")
    assert principal.claims["subject"] == "CN=x"
    assert principal.claims["issuer"] == "CN=ca"
    assert principal.claims["dns"] == ("api.acme.example",)
    assert principal.claims["uri"] == ("spiffe://acme/a",)
    assert principal.claims["email"] == ("a@acme.example",)
    assert principal.claims["ip"] == ("10.0.0.1",)
    assert principal.claims["serial"] == f"{certificate.serial_number:x}"
    assert principal.claims["not_after"] - principal.claims["not_before"] == 11 * DAY


def test_who_has_no_subject_is_known_by_a_name_or_the_fingerprint(present):
    assert present(MutualTLS(ANY), leaf("", names=(dns("a.example"),))).body == b"mtls:CN=ca:dns:a.example"
    assert present(MutualTLS(ANY), leaf("")).body.startswith(b"mtls:CN=ca:sha256:")


# Authorities of our own.


def trusting(*names, **options):
    return MutualTLS(ANY, trust="".join(pem(authority(name)) for name in names or ("ca",)), **options)


def test_a_chain_is_verified_here(present):
    assert present(trusting(), leaf(), error="not checked").status == 200
    assert present(trusting("other", "ca"), leaf()).status == 200
    assert code(present(trusting("other"), leaf())) == "certificate_untrusted"
    assert code(present(trusting(), leaf(signer="other"))) == "certificate_untrusted"
    assert code(present(trusting(), leaf(usage=ExtendedKeyUsageOID.SERVER_AUTH))) == "certificate_untrusted"
    assert present(trusting(), leaf(usage=None)).status == 200
    assert code(present(trusting(), leaf(end=-1))) == "certificate_expired"


def test_a_chain_with_an_intermediate(present):
    middle = authority("middle", "ca")
    certificate = leaf(signer="middle")
    assert present(trusting(), certificate, middle).status == 200
    assert code(present(trusting(), certificate)) == "certificate_untrusted"
    assert code(present(trusting(), certificate, authority("middle", "other"))) == "certificate_untrusted"


def test_a_leaf_is_no_authority(present):
    fake = leaf("CN=middle2")
    assert code(present(trusting(), leaf(signer="middle2"), fake)) == "certificate_untrusted"


def test_authorities_from_a_file(tmp_path, present):
    file = tmp_path / "ca.pem"
    file.write_text(pem(authority()))
    assert present(MutualTLS(ANY, trust=file), leaf()).status == 200


# What a proxy says.


def sf(certificate):
    return f":{base64.b64encode(der(certificate)).decode()}:"


def said_by_proxy(form, certificate):
    return {
        "rfc9440": ("client-cert", sf(certificate)),
        "pem": ("x-client-cert", quote(pem(certificate))),
        "der": ("x-client-cert", base64.b64encode(der(certificate)).decode()),
        "xfcc": (
            "x-forwarded-client-cert",
            f'By=spiffe://a/b;Hash=00;Cert="{quote(pem(certificate), safe="")}";Subject="CN=x, y";URI=',
        ),
    }[form]


@pytest.mark.parametrize("form", ["rfc9440", "pem", "der", "xfcc"])
def test_a_field_of_a_trusted_proxy(site, form):
    certificate = leaf()
    name, value = said_by_proxy(form, certificate)
    client = site(Authorize(MutualTLS(ANY, header=name, format=form, **PROXY)), view=whoami, clock=FakeClock())
    assert client.get("/", headers={name: value}).body == b"mtls:CN=ca:CN=alice,O=Acme"
    assert code(client.get("/", headers={name: value}, client="192.0.2.1")) == "certificate_missing"
    assert code(client.get("/", headers={name: value}, client=None)) == "certificate_missing"
    assert code(client.get("/", headers={"x-other": value})) == "certificate_missing"
    for garbage in ("x", ":x:", ":eA==:", "Cert=x", 'Cert="', "Hash=00", "%%%", "x" * 70_000, ":" + "A" * 70_000 + ":"):
        assert code(client.get("/", headers={name: garbage})) in ("certificate_malformed", "ambiguous_credentials")
    if form != "xfcc":
        assert code(client.get("/", headers=[(name, value), (name, value)])) == "ambiguous_credentials"


def test_the_connection_says_nothing_where_a_proxy_is_to_say_it(site, protocol):
    client = site(Authorize(MutualTLS(ANY, header="Client-Cert", **PROXY)), clock=FakeClock())
    assert code(client.get("/", **on_connection(protocol, leaf()))) == "certificate_missing"


def test_default_formats_go_by_the_name(site):
    certificate = leaf()
    for name, form in (("Client-Cert", "rfc9440"), ("X-Forwarded-Client-Cert", "xfcc"), ("X-Client-Cert", "pem")):
        client = site(Authorize(MutualTLS(ANY, header=name, **PROXY)), clock=FakeClock())
        assert client.get("/", headers={name: said_by_proxy(form, certificate)[1]}).status == 200


def test_the_nearest_proxys_word_counts(site):
    client = site(Authorize(MutualTLS(ANY, header="X-Forwarded-Client-Cert", **PROXY)), view=whoami, clock=FakeClock())
    far, near = (said_by_proxy("xfcc", leaf(f"CN={who}"))[1] for who in ("far", "near"))
    assert client.get("/", headers={"x-forwarded-client-cert": f"{far},{near}"}).body == b"mtls:CN=ca:CN=near"
    assert client.get("/", headers={"x-forwarded-client-cert": f"{far}, {near}"}).body == b"mtls:CN=ca:CN=near"
    assert code(client.get("/", headers={"x-forwarded-client-cert": f"{far},Hash=00"})) == "certificate_malformed"
    # A comma in quotes begins no element.
    assert client.get("/", headers={"x-forwarded-client-cert": near.replace("CN=x, y", "a,Cert=b")}).status == 200


def test_chains_in_fields(site):
    certificate, middle = leaf(signer="middle"), authority("middle", "ca")
    settings = {**PROXY, "trust": pem(authority())}
    client = site(Authorize(MutualTLS(ANY, header="Client-Cert", **settings)), clock=FakeClock())
    assert client.get("/", headers={"client-cert": sf(certificate), "client-cert-chain": sf(middle)}).status == 200
    assert code(client.get("/", headers={"client-cert": sf(certificate)})) == "certificate_untrusted"
    client = site(Authorize(MutualTLS(ANY, header="X-Amzn-Mtls-Clientcert", **settings)), clock=FakeClock())
    assert client.get("/", headers={"x-amzn-mtls-clientcert": quote(pem(certificate) + pem(middle))}).status == 200
    client = site(Authorize(MutualTLS(ANY, header="X-Forwarded-Client-Cert", **settings)), clock=FakeClock())
    xfcc = f'Cert="{quote(pem(certificate))}";Chain="{quote(pem(certificate) + pem(middle))}"'
    assert client.get("/", headers={"x-forwarded-client-cert": xfcc}).status == 200


def test_a_proxy_that_says_whether_it_verified(site):
    spec = Authorize(MutualTLS(ANY, header="X-Cert", verify_header="X-Cert-Verify", **PROXY), strip=True)
    seen = []

    def view(request):
        seen.append({name for name, _ in request.headers})
        return 200, [], b""

    client = site(spec, clock=FakeClock(), view=view)
    escaped = quote(pem(leaf()))
    assert client.get("/", headers={"x-cert": escaped, "x-cert-verify": "SUCCESS"}).status == 200
    assert seen == [{"host"}]
    for said in ({}, {"x-cert-verify": "NONE"}, {"x-cert-verify": "FAILED:expired"}):
        assert code(client.get("/", headers={"x-cert": escaped, **said})) == "certificate_untrusted"


# With others.


def test_a_certificate_and_a_key_together(site, protocol):
    key = ApiKey({KEY: "acme"})
    client = site(Authorize(all_of(key, MutualTLS(ANY))), view=whoami, clock=FakeClock())
    with_certificate = on_connection(protocol, leaf())
    assert client.get("/", headers={"x-api-key": KEY}, **with_certificate).body == b"api_key::acme"
    assert code(client.get("/", **with_certificate)) == "credentials_missing"
    assert code(client.get("/", headers={"x-api-key": KEY})) == "credentials_missing"


def test_a_certificate_or_a_key(site, protocol):
    client = site(Authorize(any_of(MutualTLS(ANY), ApiKey({KEY: "acme"}))), view=whoami, clock=FakeClock())
    assert client.get("/", **on_connection(protocol, leaf())).body.startswith(b"mtls:")
    assert client.get("/", headers={"x-api-key": KEY}).body == b"api_key::acme"
    assert client.get("/").headers.get_all("www-authenticate") == ["ClientCertificate", "ApiKey"]


# Behind a real TLS server.


@pytest.mark.parametrize("server", ["gunicorn", "werkzeug", "uvicorn"])
def test_a_handshake_with_a_real_server(server, tmp_path, monkeypatch):
    now = time.time() // DAY * DAY
    files = {
        "ca.pem": pem(authority(now=now)),
        "server.pem": pem(leaf("CN=localhost", names=(dns("localhost"),), usage=None, now=now)),
        "server.key": made.private_pem("leaf"),
        "client.pem": pem(leaf("CN=partner", names=(dns("api.acme.example"),), now=now)),
        "stranger.pem": pem(leaf("CN=partner", names=(dns("api.evil.example"),), now=now)),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("MUTUAL_TLS_NAMES", "dns:*.acme.example")
    port = free_port()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    tls = ["--certfile", "server.pem", "--keyfile", "server.key", "--ca-certs", "ca.pem", "--cert-reqs", "1"]
    command = {
        "gunicorn": ["gunicorn", "components.authorizer.tls_app:application", "-b", f"127.0.0.1:{port}", *tls],
        "werkzeug": ["components.authorizer.tls_werkzeug", str(port)],
        "uvicorn": ["components.authorizer.tls_uvicorn", str(port)],
    }[server]
    with serving(*command, port=port, cwd=tmp_path):

        def ask(certificate=None):
            context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
            if certificate is not None:
                context.load_cert_chain(tmp_path / certificate, tmp_path / "server.key")
            connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=PATIENCE)
            connection.request("GET", "/")
            response = connection.getresponse()
            body = response.read()
            connection.close()
            return response.status, body

        assert ask("client.pem") == (200, b"acme")
        assert ask("stranger.pem")[0] == 401
        status, body = ask()
        assert status == 401
        assert b"certificate_missing" in body


# Mistakes.


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "nothing says which certificates"),
        ({"subjects": "CN=a"}, "not a collection"),
        ({"subjects": ["alice"]}, "not a distinguished name"),
        ({"subjects": [7]}, "is not a string"),
        ({"names": ["api.example.com"]}, "does not start with"),
        ({"names": ["dns:"]}, "does not start with"),
        ({"names": ["dns:a*.example.com"]}, 'a "\\*" is'),
        ({"names": ["uri:spiffe://*/a"]}, 'a "\\*" is'),
        ({"names": ["ip:example.com"]}, "does not appear to be"),
        ({"fingerprints": ["ab"]}, "not a SHA-256"),
        ({"names": {"dns:a": 7}}, "neither a name"),
        ({"names": {"dns:a": {"who": "x"}}}, "neither a name"),
        ({"names": {"dns:a": {"owner": 7}}}, "is not a name"),
        ({"names": {"dns:a": {"scopes": "x"}}}, "collections of strings"),
        ({"subjects": ANY, "remember": 0}, "remember="),
        ({"subjects": ANY, "trust": "x"}, "trust: "),
        ({"subjects": ANY, "proxies": ["10.0.0.1"]}, "are for a header"),
        ({"subjects": ANY, "header": "X-Cert"}, "from trusted proxies only"),
        ({"subjects": ANY, "header": "X-Cert", "proxies": "10.0.0.1"}, "from trusted proxies only"),
        ({"subjects": ANY, "header": "X-Cert", "proxies": ["x"]}, "proxies: "),
        ({"subjects": ANY, "header": "X Cert", **PROXY}, "header="),
        ({"subjects": ANY, "header": "X-Cert", "verify_header": "a b", **PROXY}, "verify_header='a b'"),
        ({"subjects": ANY, "header": "X-Cert", "format": "x", **PROXY}, "is none of rfc9440"),
    ],
)
def test_mistakes_name_their_line(settings, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        MutualTLS(**settings)
    assert caught.value.origin is not None
    assert caught.value.origin.file == __file__
