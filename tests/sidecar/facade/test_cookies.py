import pytest

from postern_sidecar.facade.cookies import CookieNames, deleted, new_secret, read_cookies, session, stored
from tests.sidecar.facade.building import make_request


def read(*headers: str) -> dict[str, str]:
    return read_cookies(make_request(headers=[("cookie", value) for value in headers]))


def test_cookies_are_bound_to_the_host_and_kept_from_scripts_and_other_sites() -> None:
    name, value = stored(CookieNames("https://mcp.example.com").csrf, "x", 600)
    assert name == b"set-cookie"
    assert value.startswith(b"__Host-postern-csrf-")
    assert value.decode().split("; ")[1:] == ["Path=/", "Max-Age=600", "Secure", "HttpOnly", "SameSite=Lax"]
    assert b"Domain" not in value


def test_session_cookie_has_no_lifetime() -> None:
    assert b"Max-Age" not in session("__Host-x", "1")[1]


def test_deleted_cookie_has_the_attributes_under_which_it_was_set() -> None:
    assert deleted("__Host-x")[1] == b"__Host-x=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"


def test_cookies_of_development_on_http_are_neither_secure_nor_prefixed() -> None:
    names = CookieNames("http://localhost:8080")
    for name in (names.csrf, names.consent, names.transaction("state")):
        assert name.startswith("postern-")
        assert b"Secure" not in stored(name, "x", 1)[1]


def test_servers_that_share_a_host_have_cookies_of_their_own() -> None:
    one, two = CookieNames("https://mcp.example.com/one"), CookieNames("https://mcp.example.com/two")
    assert one.csrf != two.csrf
    assert one.consent != two.consent


def test_each_login_has_a_cookie_of_its_own() -> None:
    names = CookieNames("https://mcp.example.com")
    assert names.transaction("a") != names.transaction("b")
    assert names.transaction("a").startswith(names.transactions)


def test_names_are_tokens_whatever_the_state() -> None:
    name = CookieNames("https://mcp.example.com").transaction('x; Path=/evil\r\nSet-Cookie: "y"')
    assert name.replace("-", "").replace("_", "").isalnum()


def test_cookies_are_read_from_one_header_and_from_several() -> None:
    assert read("a=1; b=2", "c=3") == {"a": "1", "b": "2", "c": "3"}


def test_cookie_that_comes_with_two_values_is_not_believed() -> None:
    assert read("a=1; a=2; b=3") == {"b": "3"}
    assert read("a=1; a=2; a=1") == {}


def test_cookie_that_comes_twice_alike_is_read() -> None:
    assert read("a=1; a=1") == {"a": "1"}


@pytest.mark.parametrize("header", ["", ";;;", "=", "a", "\t ;=;a", "é=ü"])
def test_odd_cookie_headers_do_no_harm(header: str) -> None:
    assert "b" in read(header, "b=1")


def test_only_so_many_cookies_are_looked_at() -> None:
    many = "; ".join(f"c{i}=x" for i in range(5000))
    assert len(read(many)) == 200


def test_secret_is_kept_when_it_can_be_ours() -> None:
    secret = new_secret()
    assert len(secret) == 22
    assert new_secret(secret) == secret
    assert new_secret() != secret


@pytest.mark.parametrize("value", ["", "short", "x" * 23, "x" * 21 + ";", 'x"y' + "z" * 19])
def test_secret_of_another_shape_is_replaced(value: str) -> None:
    assert new_secret(value) != value
