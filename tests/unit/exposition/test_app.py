"""The agent's HTTP, asked over a socket: paths, methods, tokens, tags, and what it says before a sample."""

from __future__ import annotations

import gzip
import hmac
import http.client
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gpusteward import __version__
from gpusteward.exposition import Exposition
from gpusteward.metrics.page import render
from tests import snapshots
from tests.pages import parsed, value

if TYPE_CHECKING:
    import threading

    from gpusteward.clock import Moment
    from gpusteward.exposition import Token
    from gpusteward.model import Snapshot
    from tests.unit.exposition.conftest import Site

PATHS = ["/", "/metrics", "/snapshot", "/livez", "/readyz"]
SECRET = "s3cret-token"  # noqa: S105 - a test's own, of no other use


class Clock:
    """Always forty-two seconds after the snapshot."""

    def now(self) -> Moment:
        return snapshots.AT.plus(42)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)


class OneToken:
    def matches(self, candidate: str) -> bool:
        return hmac.compare_digest(candidate.encode(), SECRET.encode())


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))


class Asker:
    """A site that serves one application, and a client of it."""

    def __init__(self, site: Site, app: Exposition) -> None:
        site.app = app
        self.app = app
        self._address = site.address

    def get(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            sent = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, body=body, headers=sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()


@pytest.fixture
def waiting(site: Site) -> Asker:
    return asker(site, None)


@pytest.fixture
def full(site: Site) -> Asker:
    return asker(site, snapshots.mixed_snapshot())


def asker(site: Site, snapshot: Snapshot | None, token: Token | None = None) -> Asker:
    app = Exposition(Clock(), render(None, snapshots.EXPOSURE), token)
    if snapshot is not None:
        app.publish(snapshot, render(snapshot, snapshots.EXPOSURE))
    return Asker(site, app)


# --- before and after the first sample ----------------------------------------------------------------------


def test_before_the_first_sample_the_page_is_whole_and_says_so(waiting: Asker) -> None:
    answer = waiting.get("/metrics")
    assert answer.status == 200
    assert value(parsed(answer.body), "collect_success") == 0.0


def test_before_the_first_sample_it_lives_and_is_not_ready(waiting: Asker) -> None:
    assert waiting.get("/livez").status == 200
    ready = waiting.get("/readyz")
    assert (ready.status, ready.text) == (503, "the first sample was not taken yet\n")
    snapshot = waiting.get("/snapshot")
    assert snapshot.status == 503
    assert snapshot.header("Retry-After") == "5"
    assert "No sample was taken yet" in waiting.get("/").text


def test_a_cycle_that_failed_says_why_it_is_not_ready(site: Site) -> None:
    failed = asker(site, snapshots.failed_snapshot())
    ready = failed.get("/readyz")
    assert ready.status == 503
    assert "is dcgm-exporter running?" in ready.text
    assert "is dcgm-exporter running?" in failed.get("/").text
    assert failed.get("/metrics").status == 200
    assert failed.get("/snapshot").status == 200


def test_once_ready_it_stays_ready_when_a_later_cycle_fails(full: Asker) -> None:
    assert full.get("/readyz").status == 200
    failed = snapshots.failed_snapshot()
    full.app.publish(failed, render(failed, snapshots.EXPOSURE))
    assert full.get("/readyz").status == 200


def test_publishing_changes_page_document_and_landing_together(waiting: Asker) -> None:
    snapshot = snapshots.snapshot(snapshots.whole_gpu())
    waiting.app.publish(snapshot, render(snapshot, snapshots.EXPOSURE))
    assert value(parsed(waiting.get("/metrics").body), "gpu_price_per_hour") == 6.88
    assert len(json.loads(waiting.get("/snapshot").body)["nodes"][0]["gpus"]) == 1
    assert "1 GPU on 1 node" in waiting.get("/").text


# --- formats ------------------------------------------------------------------------------------------------


def test_plain_text_is_the_default(full: Asker) -> None:
    answer = full.get("/metrics")
    assert answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.header("Vary") == "Accept, Accept-Encoding"
    assert answer.header("Content-Encoding") == ""


def test_openmetrics_and_gzip_are_negotiated(full: Asker) -> None:
    answer = full.get("/metrics", Accept="application/openmetrics-text;version=1.0.0", Accept_Encoding="gzip")
    assert answer.header("Content-Type").startswith("application/openmetrics-text; version=1.0.0")
    assert answer.header("Content-Encoding") == "gzip"
    assert gzip.decompress(answer.body).endswith(b"# EOF\n")


def test_a_query_does_not_change_the_path(full: Asker) -> None:
    assert full.get("/metrics?name[]=gpusteward_gpu_up").status == 200


@pytest.mark.parametrize("path", ["/metrics", "/snapshot"])
def test_a_known_tag_is_answered_without_a_body(full: Asker, path: str) -> None:
    first = full.get(path)
    tag = first.header("ETag")
    assert re.fullmatch(r'"[0-9a-f]{32}[a-z-]*"', tag)
    for sent in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = full.get(path, If_None_Match=sent)
        assert (again.status, again.body, again.header("ETag")) == (304, b"", tag)
    assert full.get(path, If_None_Match='"other"').body == first.body


def test_the_snapshot_is_zipped_for_who_takes_it_and_is_the_same_document(full: Asker) -> None:
    plain, zipped = full.get("/snapshot"), full.get("/snapshot", Accept_Encoding="gzip")
    assert zipped.header("Content-Encoding") == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) < len(plain.body) / 4
    assert zipped.header("Vary") == plain.header("Vary") == "Accept-Encoding"
    assert zipped.header("ETag") != plain.header("ETag")
    again = full.get("/snapshot", Accept_Encoding="gzip", If_None_Match=zipped.header("ETag"))
    assert again.status == 304


def test_a_tag_of_another_form_of_the_page_is_not_known(full: Asker) -> None:
    plain = full.get("/metrics").header("ETag")
    assert full.get("/metrics", If_None_Match=plain, Accept_Encoding="gzip").status == 200


# --- methods and paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_head_gives_the_headers_of_get_and_no_body(full: Asker, path: str) -> None:
    got, head = full.get(path), full.get(path, "HEAD")
    assert (head.status, head.body) == (got.status, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "X-Content-Type-Options"):
        assert head.header(name) == got.header(name)
    assert int(got.header("Content-Length")) == len(got.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_other_methods_are_refused_with_what_is_allowed(full: Asker, method: str) -> None:
    answer = full.get("/metrics", method, body=b"x" * 100_000)
    assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD")
    assert full.get("/metrics").status == 200


@pytest.mark.parametrize("path", ["/metric", "/metrics/", "//", "/ledger", "/%2e%2e/etc/passwd"])
def test_an_unknown_path_lists_those_there_are(full: Asker, path: str) -> None:
    answer = full.get(path)
    assert answer.status == 404
    assert answer.header("Content-Type").startswith("text/plain")
    assert all(known in answer.text for known in PATHS)


@pytest.mark.parametrize("path", [*PATHS, "/none"])
def test_no_answer_is_sniffed_or_names_its_server(full: Asker, path: str) -> None:
    answer = full.get(path)
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Server") == ""


# --- the landing page ---------------------------------------------------------------------------------------


def test_the_landing_page_links_states_mode_version_and_age(full: Asker) -> None:
    answer = full.get("/")
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert answer.header("Content-Security-Policy").startswith("default-src 'none'")
    assert all(f'href="{path}"' in answer.text for path in PATHS[1:])
    assert "Mode real, source dcgm: 5 GPUs on 1 node, sampled 42 s ago." in answer.text
    assert __version__ in answer.text
    assert "SIMULATED" not in answer.text


def test_simulated_is_said_loudly(site: Site) -> None:
    simulated = asker(site, snapshots.snapshot(mode="simulated", source="simulated"))
    assert '<p class="simulated">SIMULATED' in simulated.get("/").text


def test_what_a_source_says_is_not_taken_for_html(site: Site) -> None:
    failed = snapshots.failed_snapshot()
    hostile = replace(failed, health=replace(failed.health, message="<script>alert(1)</script>\udc80"))
    answer = asker(site, hostile).get("/")
    assert answer.status == 200
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_an_undecodable_message_does_not_break_readiness(site: Site) -> None:
    failed = snapshots.failed_snapshot()
    odd = replace(failed, health=replace(failed.health, message="byte \udc80"))
    answer = asker(site, odd).get("/readyz")
    assert (answer.status, answer.text) == (503, "no sample succeeded yet: byte ?\n")


# --- the token ----------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(site: Site) -> Asker:
    return asker(site, snapshots.mixed_snapshot(), OneToken())


@pytest.mark.parametrize("path", ["/", "/metrics", "/snapshot", "/none"])
def test_without_the_token_nothing_is_told(guarded: Asker, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'Bearer realm="gpusteward"'
    assert "gpusteward_" not in answer.text


LOST = 300.0 - 42.0  # the clock is 42 s after the snapshot


@pytest.mark.parametrize(
    ("reason", "seconds", "succeeded", "status"),
    [
        ("unknown_error", LOST, True, 503),
        ("no_permission", LOST, True, 503),
        ("driver_mismatch", LOST, True, 503),
        ("driver_mismatch", LOST, False, 200),
        ("unknown_error", LOST - 0.5, True, 200),
        ("unknown_error", LOST, False, 200),
        ("timeout", 86_400.0, True, 200),
        ("released", 86_400.0, True, 200),
    ],
)
def test_only_a_container_that_has_long_lost_its_devices_or_library_is_not_alive(
    site: Site, reason: str, seconds: float, *, succeeded: bool, status: int
) -> None:
    failed = snapshots.failed_snapshot()
    health = replace(
        failed.health,
        reason=reason,
        failing_since=snapshots.AT.monotonic - seconds,
        last_success=snapshots.AT.wall - 86_400 if succeeded else None,
    )
    answer = asker(site, replace(failed, health=health)).get("/livez")
    assert answer.status == status
    assert ("only a new one" in answer.text) == (status == 503)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_need_no_token(guarded: Asker, path: str) -> None:
    assert guarded.get(path).status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens_whatever_the_case_of_its_scheme(guarded: Asker, scheme: str) -> None:
    assert guarded.get("/metrics", Authorization=f"{scheme} {SECRET}").status == 200


@pytest.mark.parametrize(
    "sent",
    [f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", "Bearer", "Bearer ", f"Bearer {SECRET}, Bearer {SECRET}"],
)
def test_a_wrong_token_is_refused_as_wrong(guarded: Asker, sent: str) -> None:
    answer = guarded.get("/metrics", Authorization=sent)
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.header("WWW-Authenticate")


@pytest.mark.parametrize("sent", [SECRET, f"Basic {SECRET}", f"Token {SECRET}", f"Bearer={SECRET}"])
def test_another_scheme_is_no_token(guarded: Asker, sent: str) -> None:
    answer = guarded.get("/metrics", Authorization=sent)
    assert (answer.status, answer.header("WWW-Authenticate")) == (401, 'Bearer realm="gpusteward"')


def test_a_refused_method_does_not_open_what_the_token_guards(guarded: Asker) -> None:
    assert guarded.get("/metrics", "POST").status == 401
    assert guarded.get("/metrics", "POST", Authorization=f"Bearer {SECRET}").status == 405
