from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpusteward.clock import Moment
from gpusteward.config.settings import DcgmSettings
from gpusteward.devices.dcgm import DcgmSource
from gpusteward.errors import ConfigError, SourceError
from tests.dcgm_server import Behaviour, DcgmServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpusteward.model import Readings

AT = Moment(1_800_000_000.0, 1_000.0)
CAPTURE = Path(__file__).parents[3] / "captures" / "dcgm-t4.prom"
PAGE = CAPTURE.read_text()


@pytest.fixture
def server() -> Iterator[DcgmServer]:
    with DcgmServer(PAGE) as running:
        yield running


def read_once(settings: DcgmSettings) -> Readings:
    """One sample over a connection of its own."""
    with closing(DcgmSource(settings, "n")) as source:
        return source.read(AT)


def settings(url: str, **changed: float) -> DcgmSettings:
    return DcgmSettings.model_validate({"url": url, "timeout_seconds": 30.0, **changed})


def failure(source: DcgmSource) -> SourceError:
    with closing(source), pytest.raises(SourceError) as caught:
        source.read(AT)
    assert caught.value.hint
    return caught.value


def read_fails(server: DcgmServer, behaviour: Behaviour, **changed: float) -> SourceError:
    server.behaviour = behaviour
    error = failure(DcgmSource(settings(server.url, **changed), "n"))
    server.behaviour = Behaviour.SERVE
    assert read_once(settings(server.url)).nodes  # and the next cycle is none the worse
    return error


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour.SERVE, Behaviour.GZIP, Behaviour.DELAYED, Behaviour.WITHOUT_LENGTH],
)
def test_a_page_is_read_however_it_is_sent(server: DcgmServer, behaviour: Behaviour) -> None:
    server.behaviour = behaviour
    with closing(DcgmSource(settings(server.url), "n")) as source:
        readings = source.read(AT)
    assert (readings.source, readings.at, source.name) == ("dcgm", AT, "dcgm")
    assert readings.nodes[0].gpus[0].model == "Tesla T4"


def test_reading_again_uses_the_same_connection(server: DcgmServer) -> None:
    with closing(DcgmSource(settings(server.url), "n")) as source:
        for _ in range(3):
            source.read(AT)
    assert (len(server.requests_seen), server.connections) == (3, 1)


def test_a_restarted_exporter_is_reached_over_a_new_connection(server: DcgmServer) -> None:
    with closing(DcgmSource(settings(server.url), "n")) as source:
        source.read(AT)
        server.drop_connections()
        assert source.read(AT).nodes
    assert server.connections == 2


@pytest.mark.parametrize("behaviour", [Behaviour.STATUS, Behaviour.HUGE, Behaviour.GZIP_BOMB])
def test_a_connection_with_unread_bytes_is_not_used_again(server: DcgmServer, behaviour: Behaviour) -> None:
    with closing(DcgmSource(settings(server.url, max_bytes=100_000), "n")) as source:
        for _ in range(3):
            server.behaviour = behaviour
            with pytest.raises(SourceError):
                source.read(AT)
            server.behaviour = Behaviour.SERVE
            assert source.read(AT).nodes


def test_closing_twice_is_fine_and_a_closed_source_says_that_it_cannot_read(server: DcgmServer) -> None:
    source = DcgmSource(settings(server.url), "n")
    source.read(AT)
    source.close()
    source.close()
    assert failure(source).reason == "connection"


def test_probing_leaves_no_connection_behind(server: DcgmServer) -> None:
    assert read_once(settings(server.url)).nodes[0].node == "cp-bm14r7"
    server.behaviour = Behaviour.EMPTY
    with pytest.raises(SourceError) as caught:
        read_once(settings(server.url))
    assert caught.value.reason == "empty"


@pytest.mark.parametrize(
    ("behaviour", "reason", "message"),
    [
        (Behaviour.EMPTY, "empty", "the page is empty"),
        (Behaviour.HTML, "not_dcgm", "the page is HTML"),
        (Behaviour.STATUS, "http_status", "answered with HTTP status 500"),
        (Behaviour.REDIRECT, "http_status", "answered with HTTP status 302"),
        (Behaviour.CUT, "truncated", "closed the connection before the end of the page"),
        (Behaviour.GZIP_CUT, "truncated", "closed the connection before the end of the page"),
        (Behaviour.GZIP_DAMAGED, "encoding", "sent a damaged gzip body"),
        (Behaviour.UNASKED_ENCODING, "encoding", "sent Content-Encoding 'br'"),
        (Behaviour.REFUSE, "connection", "Remote end closed connection without response"),
    ],
)
def test_a_bad_answer_is_an_error_with_its_reason(
    server: DcgmServer, behaviour: Behaviour, reason: str, message: str
) -> None:
    error = read_fails(server, behaviour)
    assert error.reason == reason
    assert message in error.message


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.HANG,
        Behaviour.HANG_MID_BODY,
        Behaviour.TRICKLE,
        Behaviour.TRICKLE_WITHOUT_LENGTH,
        Behaviour.TRICKLE_HEADERS,
    ],
)
def test_the_deadline_is_of_the_whole_read(server: DcgmServer, behaviour: Behaviour) -> None:
    error = read_fails(server, behaviour, timeout_seconds=0.3)
    assert (error.reason, error.message) == ("timeout", f"{server.url} was not read within 0.3 s")


@pytest.mark.parametrize("behaviour", [Behaviour.HUGE, Behaviour.GZIP_BOMB])
def test_a_huge_page_is_given_up_at_the_limit(server: DcgmServer, behaviour: Behaviour) -> None:
    error = read_fails(server, behaviour, max_bytes=1024 * 1024)
    assert (error.reason, error.message) == ("too_large", f"{server.url} is larger than 1048576 bytes")


@pytest.mark.parametrize("behaviour", [Behaviour.SERVE, Behaviour.GZIP])
def test_a_page_of_just_the_limit_is_read_and_one_byte_more_is_not(
    server: DcgmServer, behaviour: Behaviour
) -> None:
    server.behaviour = behaviour
    size = len(PAGE.encode())
    assert read_once(settings(server.url, max_bytes=size)).nodes
    with pytest.raises(SourceError, match="is larger than"):
        read_once(settings(server.url, max_bytes=size - 1))


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "login"), (403, "login"), (404, "/metrics"), (301, "redirects"), (503, "log")],
)
def test_a_status_comes_with_its_own_next_step(server: DcgmServer, status: int, hint: str) -> None:
    server.status = status
    assert hint in read_fails(server, Behaviour.STATUS).hint


def test_a_redirect_is_not_followed_to_another_host(server: DcgmServer) -> None:
    with DcgmServer(PAGE) as other:
        server.redirect_to = other.url
        read_fails(server, Behaviour.REDIRECT)
        assert other.requests_seen == []


def test_nobody_there_is_a_connection_error_that_names_the_address() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # bound and not listening: refused, and no one else can take it
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/metrics"
        error = failure(DcgmSource(settings(url), "n"))
    assert error.reason == "connection"
    assert error.message == f"{url} cannot be reached: [Errno 111] Connection refused"
    assert "dcgm-exporter runs" in error.hint


def test_https_to_a_plain_server_hints_at_the_scheme(server: DcgmServer) -> None:
    error = failure(DcgmSource(settings(server.url.replace("http://", "https://")), "n"))
    assert error.reason == "connection"
    assert "http://" in error.hint


def test_a_password_in_the_url_is_sent_and_never_shown(server: DcgmServer) -> None:
    server.behaviour = Behaviour.STATUS
    error = failure(DcgmSource(settings(server.url.replace("//", "//reader:secret@")), "n"))
    assert "secret" not in str(error)
    ((_, headers),) = server.requests_seen
    assert headers["authorization"] == "Basic cmVhZGVyOnNlY3JldA=="


def test_path_and_query_of_the_url_are_asked_for(server: DcgmServer) -> None:
    read_once(settings(server.url.replace("/metrics", "/a/metrics?x=1")))
    ((request, headers),) = server.requests_seen
    assert request == "GET /a/metrics?x=1 HTTP/1.1"
    assert "authorization" not in headers


@pytest.mark.parametrize(
    "url", ["dcgm:9400/metrics", "ftp://h/x", "http://", "/metrics", "http://h:port/", "nonsense"]
)
def test_a_url_that_cannot_be_read_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DcgmSource(settings(url), "n")
    (problem,) = caught.value.problems
    assert (problem.path, problem.remedy) == ("sources.dcgm.url", "write http://HOST:9400/metrics")


def test_a_config_error_does_not_show_the_password() -> None:
    with pytest.raises(ConfigError) as caught:
        DcgmSource(settings("ftp://me:secret@h/x"), "n")
    assert "secret" not in str(caught.value)


def test_without_a_url_the_exporters_usual_address_is_read() -> None:
    source = DcgmSource(DcgmSettings(), "n")
    assert source._fetcher.shown_url == "http://127.0.0.1:9400/metrics"
    source.close()


# From a file


def from_file(path: Path, **changed: int) -> DcgmSource:
    return DcgmSource(DcgmSettings.model_validate({"file": str(path), **changed}), "n")


def test_a_file_is_read_anew_at_each_sample(tmp_path: Path) -> None:
    path = tmp_path / "page.prom"
    with closing(from_file(path)) as source:
        for uuid in ("GPU-1", "GPU-2"):
            path.write_text(f'DCGM_FI_DEV_GPU_TEMP{{UUID="{uuid}"}} 40\n')
            assert source.read(AT).nodes[0].gpus[0].uuid == uuid


def test_a_file_wins_over_a_url(server: DcgmServer) -> None:
    both = DcgmSettings(file=str(CAPTURE), url=server.url)
    assert read_once(both).nodes
    assert server.requests_seen == []


def test_bytes_that_are_not_utf_8_cost_only_their_label(tmp_path: Path) -> None:
    path = tmp_path / "page.prom"
    path.write_bytes(b'DCGM_FI_DEV_GPU_TEMP{UUID="GPU-1",modelName="\xff"} 40\n')
    assert from_file(path).read(AT).nodes[0].gpus[0].model == "\N{REPLACEMENT CHARACTER}"


def test_a_file_that_is_not_there_and_a_pipe_are_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "absent", tmp_path / "pipe", tmp_path):
        error = failure(from_file(path))
        assert (error.reason, error.message) == ("file", f"{path} is no file")


def test_a_file_that_cannot_be_read_says_why() -> None:
    error = failure(from_file(Path("/proc/self/mem")))  # a file whose first byte not even root can read
    assert (error.reason, error.message) == ("file", "/proc/self/mem cannot be read: Input/output error")


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.prom"
    path.write_text("#" * 1025)
    assert failure(from_file(path, max_bytes=1024)).reason == "too_large"
    path.write_text("#" * 1024)
    assert failure(from_file(path, max_bytes=1024)).reason == "empty"
