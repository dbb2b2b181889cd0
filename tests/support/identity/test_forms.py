from tests.support.identity.forms import forms_of


def test_forms_are_read_with_fields_passwords_and_buttons() -> None:
    page = """
    <input name="outside"><form action="/go?a=1&amp;b=2" method="POST">
    <input name="username" value="pre"><input type=password name=password />
    <input type="hidden" name="csrf" value="x&quot;y">
    <input type="checkbox" name="remember"><button name="decision" value="deny">No</button><button>nameless</button>
    </form><form></form>"""

    first, second = forms_of(page)

    assert (first.action, first.method) == ("/go?a=1&b=2", "post")
    assert first.fields == {"username": "pre", "password": "", "csrf": 'x"y'}
    assert first.passwords == ["password"]
    assert first.buttons == [("decision", "deny")]
    assert second.method == "get"
