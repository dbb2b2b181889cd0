from postern_sidecar.outcome import Principal
from postern_sidecar.tokens.cache import VerifiedTokens
from postern_sidecar.tokens.keys import KeyRing

RING = KeyRing((), b"")


def principal(*, header: int = 0, scopes: int = 0) -> Principal:
    names = frozenset(map(str, range(scopes)))
    return Principal("https://sso.example.com", "alice", None, names, 100.0, ((b"x", b"v" * header),))


def test_large_tokens_take_the_room_of_many_small_ones() -> None:
    for large in (principal(header=16_000), principal(scopes=1_000)):
        cache = VerifiedTokens(200_000)
        for number in range(100):
            cache.put(b"%d" % number, RING, large)
        assert 0 < len(cache) < 15
        assert cache.get(b"99", RING, 0.0) is large
        assert cache.get(b"0", RING, 0.0) is None
