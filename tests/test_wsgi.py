"""The WSGI driver: PEP 3333 in every way that apps use it, close() always called, bodies bounded on request."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from wsgiref.validate import validator

import pytest

from gatekeep.exchange import current
from gatekeep.gateway import Gateway
from gatekeep.message import Response
from gatekeep.testing import call_wsgi
from opaque import wsgi_app
from probes import lined_up, probe
from wires import environ, serve


def wrapped(app, *, log=None, **options):
    """The app behind a gateway on which something is on; without it, see test_transparency."""
    watcher = probe("watcher", log)
    return Gateway(watcher.spec, **lined_up(watcher), **options).wrap(app)


class TestStreaming:
    def test_head_and_chunks_leave_before_the_next_is_made(self):
        events = []

        def app(environ, start_response):
            start_response("200 OK", [])
            for number in range(3):
                events.append(f"made {number}")
                yield b"%d" % number

        serve(wrapped(app), "wsgi", events)
        assert events == [
            *("made 0", ("head", 200), ("body", b"0"), "made 1", ("body", b"1"), "made 2", ("body", b"2")),
            "closed",
        ]

    def test_a_generator_that_starts_its_response_late(self):
        log = []

        def app(environ, start_response):
            log.append("running")
            start_response("201 Created", [("x-a", "b")])
            yield b"late"

        answer = call_wsgi(wrapped(app, log=log), "GET", "/")
        assert (answer.status, answer.headers.get("x-a"), answer.body) == (201, "b", b"late")
        assert log == ["watcher>", "running", "<watcher", "watcher."]

    def test_an_empty_chunk_brings_the_head(self):
        events = []

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"", b"x"]

        serve(wrapped(app), "wsgi", events)
        assert events == [("head", 200), ("body", b""), ("body", b"x"), "closed"]

    @pytest.mark.parametrize("body", [[], [b""], iter(())])
    def test_an_answer_without_a_body_has_a_head(self, body):
        def app(environ, start_response):
            start_response("304 Not Modified", [("etag", '"1"')])
            return body

        answer = call_wsgi(wrapped(app), "GET", "/")
        assert (answer.status, answer.headers.get("etag"), answer.body) == (304, '"1"', b"")

    def test_the_status_line_is_the_app_s_own(self):
        lines = []

        def app(environ, start_response):
            start_response("299 Quite Fine", [])
            return [b""]

        body = wrapped(app)(environ(), lambda line, headers: lines.append(line))
        list(body)
        body.close()
        assert lines == ["299 Quite Fine"]

    @pytest.mark.parametrize(("status", "line"), [(404, "404 Not Found"), (599, "599 Unknown")])
    def test_a_changed_status_gets_a_line_of_its_own(self, status, line):
        lines = []
        changer = probe("changer", response=lambda exchange: setattr(exchange.response, "status", status))
        app = Gateway(changer.spec, **lined_up(changer)).wrap(wsgi_app(lambda request: (200, [], b"")))
        body = app(environ(), lambda line, headers: lines.append(line))
        list(body)
        body.close()
        assert lines == [line]

    def test_a_list_of_one_keeps_its_length(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"one"]

        for made in (wrapped(app), Gateway().wrap(app)):
            body = made(environ(), lambda *_: None)
            assert len(body) == 1
            assert list(body) == [b"one"]
            getattr(body, "close", lambda: None)()  # as servers do; a bare list has none

    def test_where_filters_may_add_to_it_it_has_none(self):
        made = probe("filtering", filters=True)
        body = Gateway(made.spec, **lined_up(made)).wrap(wsgi_app(lambda request: (200, [], b"one")))(environ(), lambda *_: None)
        assert not hasattr(body, "__len__")
        body.close()

    def test_the_server_s_own_file_wrapper_stays_what_it_is(self):
        class Wrapper:
            def __init__(self, file):
                self.file = file

            def __iter__(self):
                return iter(self.file)

        def app(environ, start_response):
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](BytesIO(b"a\nb"))

        plain = Gateway().wrap(app)(environ(**{"wsgi.file_wrapper": Wrapper}), lambda *_: None)
        assert type(plain) is Wrapper
        on = wrapped(app)(environ(**{"wsgi.file_wrapper": Wrapper}), lambda *_: None)
        assert list(on) == [b"a\n", b"b"]
        on.close()
        with pytest.raises(LookupError):
            current()

    def test_a_body_whose_close_is_nothing_to_call(self):
        class Lines(list):
            close = None

        def app(environ, start_response):
            start_response("200 OK", [])
            return Lines([b"x"])

        body = wrapped(app)(environ(), lambda *_: None)
        assert [*body] == [b"x"]
        body.close()
        with pytest.raises(LookupError):
            current()

    def test_iterating_past_the_end_stays_at_the_end(self):
        body = wrapped(wsgi_app(lambda request: (200, [], b"x")))(environ(), lambda *_: None)
        assert [*body, *body] == [b"x"]
        body.close()


class TestStartResponse:
    def test_again_with_exc_info_before_anything_was_sent(self):
        log = []

        def app(environ, start_response):
            start_response("200 OK", [("x-a", "first")])
            try:
                raise KeyError("on second thoughts")
            except KeyError:
                import sys

                start_response("500 Oops", [("x-a", "second")], sys.exc_info())
            return [b"sorry"]

        answer = call_wsgi(wrapped(app, log=log), "GET", "/")
        assert (answer.status, answer.headers.get_all("x-a"), answer.body) == (500, ["second"], b"sorry")
        assert log == ["watcher>", "<watcher", "watcher."]

    def test_again_without_it_is_the_app_s_mistake(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            start_response("200 OK", [])
            return [b""]

        with pytest.raises(AssertionError, match="second time"):
            call_wsgi(wrapped(app), "GET", "/")

    def test_again_after_the_head_is_out_the_server_raises(self):
        import sys

        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"out"
            try:
                raise KeyError("too late")
            except KeyError:
                start_response("500 Oops", [], sys.exc_info())

        with pytest.raises(KeyError, match="too late"):
            call_wsgi(wrapped(app), "GET", "/")

    def test_again_after_the_head_without_exc_info_is_the_server_s_to_refuse(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"out"
            start_response("200 OK", [])

        with pytest.raises(AssertionError, match="sent twice"):
            call_wsgi(wrapped(app), "GET", "/")

    def test_never_is_the_app_s_mistake(self):
        for body in ([b"x"], []):
            app = wrapped(lambda environ, start_response, body=body: body)
            with pytest.raises(AssertionError, match="before it called start_response"):
                call_wsgi(app, "GET", "/")

    def test_the_app_s_list_of_headers_stays_its_own(self):
        shared = [("x-a", "b")]

        def app(environ, start_response):
            start_response("200 OK", shared)
            return [b""]

        answer = call_wsgi(wrapped(app), "GET", "/")
        assert answer.headers.get("x-request-id") is not None
        assert shared == [("x-a", "b")]


class TestWrite:
    def test_it_sends_at_once(self):
        log, events = [], []

        def app(environ, start_response):
            write = start_response("200 OK", [])
            write(b"first")
            events.append("wrote")
            write(b"second")
            return [b"third"]

        serve(wrapped(app, log=log), "wsgi", events)
        assert events == [("head", 200), ("body", b"first"), "wrote", ("body", b"second"), ("body", b"third"), "closed"]
        assert log == ["watcher>", "<watcher", "watcher."]

    @pytest.mark.parametrize("lazily", [True, False])
    def test_what_is_written_is_part_of_the_whole(self, lazily):
        seen = []
        collector = probe("collector", whole=True, response=lambda exchange: seen.append(exchange.response.body))
        answer = call_wsgi(Gateway(collector.spec, **lined_up(collector)).wrap(writing(lazily)), "GET", "/")
        assert (answer.body, seen) == (b"onetwothree", [b"onetwothree"])

    @pytest.mark.parametrize("lazily", [True, False])
    @pytest.mark.parametrize("careful", [True, False])
    def test_too_much_of_it_is_an_error(self, lazily, careful):
        collector = probe("collector", whole=True)
        app = Gateway(collector.spec, **lined_up(collector), max_body=5).wrap(writing(lazily, careful=careful))
        answer = call_wsgi(app, "GET", "/")
        assert (answer.status, answer.json()["code"]) == (500, "response_too_large")

    @pytest.mark.parametrize("lazily", [True, False])
    def test_nothing_follows_an_answer_that_was_replaced(self, lazily):
        def instead(exchange):
            exchange.response = Response(502, body=b"instead")

        replacer = probe("replacer", response=instead)
        answer = call_wsgi(Gateway(replacer.spec, **lined_up(replacer)).wrap(writing(lazily)), "GET", "/")
        assert (answer.status, answer.body) == (502, b"instead")

    def test_filters_see_it(self):
        class Shout:
            def feed(self, chunk):
                return chunk.upper()

            def end(self):
                return b"!"

            def abort(self):
                pass

        shouter = probe("shouter", filters=True, response=lambda exchange: exchange.response.attach(Shout()))
        answer = call_wsgi(Gateway(shouter.spec, **lined_up(shouter)).wrap(writing(lazily=False)), "GET", "/")
        assert answer.body == b"ONETWOTHREE!"


def writing(lazily, *, careful=False):
    """An app that writes "one" and "two" and returns "three"; `lazily`: as a generator."""

    def imperative(start_response):
        write = start_response("200 OK", [])
        try:
            write(b"one")
            write(b"two")
        except Exception:
            if not careful:
                raise

    def generator(environ, start_response):
        imperative(start_response)
        yield b"three"

    def function(environ, start_response):
        imperative(start_response)
        return [b"three"]

    return generator if lazily else function


class Body:
    """An iterable that says whether it was closed."""

    def __init__(self, chunks, log):
        self.chunks, self.log = chunks, log

    def __iter__(self):
        return iter(self.chunks)

    def close(self):
        self.log.append("closed by the server")


class TestClose:
    @pytest.mark.parametrize("on", [True, False])
    @pytest.mark.parametrize("leave_after", [None, 1])
    def test_it_is_always_called(self, on, leave_after):
        closed = []

        def app(environ, start_response):
            start_response("200 OK", [])
            return Body([b"1", b"2"], closed)

        made = wrapped(app) if on else Gateway().wrap(app)
        serve(made, "wsgi", [], leave_after=leave_after)
        assert closed == ["closed by the server"]

    def test_closing_without_a_single_byte(self):
        log, closed = [], []

        def app(environ, start_response):
            start_response("200 OK", [])
            return Body([b"1"], closed)

        wrapped(app, log=log)(environ(), None).close()
        assert log == ["watcher>", "watcher."]
        assert closed == ["closed by the server"]

    def test_of_what_was_replaced_too(self):
        closed = []

        def app(environ, start_response):
            start_response("200 OK", [])
            return Body([b"x" * 20], closed)

        collector = probe("collector", whole=True)
        answer = call_wsgi(Gateway(collector.spec, **lined_up(collector), max_body=10).wrap(app), "GET", "/")
        assert answer.status == 500
        assert closed == ["closed by the server"]

    def test_it_may_fail_and_the_request_is_over_nevertheless(self):
        outcomes = []
        watcher = probe("watcher", finish=lambda exchange: outcomes.append(exchange.outcome))

        class Broken(Body):
            def close(self):
                raise KeyError("the app's own")

        def app(environ, start_response):
            start_response("200 OK", [])
            return Broken([b"1", b"2"], [])

        for made, expected in ((Gateway(watcher.spec, **lined_up(watcher)), ["disconnected"]), (Gateway(), [])):
            outcomes.clear()
            with pytest.raises(KeyError):
                serve(made.wrap(app), "wsgi", [], leave_after=1)
            assert outcomes == expected
            with pytest.raises(LookupError):
                current()

    def test_on_finish_comes_with_the_last_byte_that_a_filter_adds(self):
        log = []

        class Tail:
            def feed(self, chunk):
                return chunk

            def end(self):
                return b"tail"

            def abort(self):
                log.append("aborted")

        made = probe("made", log, filters=True, response=lambda exchange: exchange.response.attach(Tail()))
        serve(Gateway(made.spec, **lined_up(made)).wrap(wsgi_app(lambda request: (200, [], b"x"))), "wsgi", log)
        assert log == ["made>", "<made", ("head", 200), ("body", b"x"), ("body", b"tail"), "made.", "closed"]


def reading(environ, start_response):
    """Reads all, then says how much it was."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [b"%d" % len(body)]


def shrugging(environ, start_response):
    """Answers 200, whatever becomes of the body."""
    try:
        return reading(environ, start_response)
    except Exception:
        start_response("200 OK", [])
        return [b"never mind"]


def lazily(environ, start_response):
    yield from reading(environ, start_response)


def rewording(environ, start_response):
    try:
        return reading(environ, start_response)
    except Exception as error:
        raise ValueError("no body") from error


def writing_on(environ, start_response):
    try:
        return reading(environ, start_response)
    except Exception:
        start_response("200 OK", [])(b"never mind")
        raise


def by_line(environ, start_response):
    size = sum(len(line) for line in environ["wsgi.input"])
    start_response("200 OK", [])
    return [b"%d" % size]


def by_lines(environ, start_response):
    size = len(b"".join(environ["wsgi.input"].readlines()))
    start_response("200 OK", [])
    return [b"%d" % size]


def by_pieces(environ, start_response):
    size = 0
    while piece := environ["wsgi.input"].read(4):
        size += len(piece)
    start_response("200 OK", [])
    return [b"%d" % size]


class Endless:
    """A stream that never ends and counts what it gave."""

    given = 0

    def read(self, size):
        self.given += size
        return b"x" * size

    readline = read


class TestMaxStream:
    @pytest.mark.parametrize("app", [reading, lazily, by_line, by_lines, by_pieces])
    def test_below_it_nothing_changes(self, app):
        for body in (b"x\n" * 5, [b"x\n" * 2, b"x\n" * 3]):
            assert call_wsgi(wrapped(app, max_stream=10), "POST", "/", body=body).body == b"10"

    @pytest.mark.parametrize("app", [reading, shrugging, lazily, rewording, writing_on, by_line, by_lines, by_pieces])
    @pytest.mark.parametrize("body", [b"x\n" * 6, [b"x\n" * 6]], ids=["declared", "chunked"])
    @pytest.mark.parametrize("on", [True, False])
    def test_over_it_the_client_gets_413_whatever_the_app_makes_of_it(self, app, body, on):
        log = []
        made = wrapped(app, max_stream=10, log=log) if on else Gateway(max_stream=10).wrap(app)
        answer = call_wsgi(made, "POST", "/", body=body)
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
        assert log == (["watcher>", "<watcher", "watcher."] if on else [])

    def test_declared_too_long_the_app_is_not_even_called(self):
        called = []
        app = wrapped(lambda environ, start_response: called.append(1), max_stream=10)
        assert call_wsgi(app, "POST", "/", body=b"x" * 11).status == 413
        assert called == []

    def test_a_body_with_two_lengths_is_400(self):
        both = {"transfer-encoding": "chunked", "content-length": "1"}
        answer = call_wsgi(wrapped(reading, max_stream=10), "POST", "/", body=b"x", headers=both)
        assert answer.status == 400

    @pytest.mark.parametrize("app", [reading, by_line])
    def test_no_more_is_read_than_allowed(self, app):
        stream = Endless()
        answer = call_wsgi(wrapped(app, max_stream=10), "POST", "/", environ={"wsgi.input": stream})
        assert answer.status == 413
        assert stream.given == 11

    def test_once_the_head_is_out_the_connection_breaks(self):
        events, outcomes = [], []
        watcher = probe("watcher", finish=lambda exchange: outcomes.append(exchange.outcome))

        def echoing(environ, start_response):
            start_response("200 OK", [])
            yield b"first"
            yield environ["wsgi.input"].read()

        app = Gateway(watcher.spec, **lined_up(watcher), max_stream=10).wrap(echoing)
        with pytest.raises(Exception, match="body_too_large"):
            call_wsgi(app, "POST", "/", body=[b"x" * 11])
        serve(app, "wsgi", events)
        assert outcomes == ["failed", "completed"]

    def test_to_head_the_refusal_has_no_body(self):
        answer = call_wsgi(wrapped(lazily, max_stream=10), "HEAD", "/", body=b"x" * 11)
        assert (answer.status, answer.body) == (413, b"")
        answer = call_wsgi(wrapped(lazily, max_stream=10), "HEAD", "/", body=[b"x" * 11])
        assert (answer.status, answer.body) == (413, b"")

    def test_a_read_body_was_bounded_already(self):
        reader = probe("reader", reads=True)
        app = Gateway(reader.spec, **lined_up(reader), max_body=100, max_stream=10).wrap(reading)
        assert call_wsgi(app, "POST", "/", body=b"x" * 12).body == b"12"


class TestAround:
    def test_the_body_is_not_read_unless_somebody_asks(self):
        app = wrapped(lambda environ, start_response: (start_response("200 OK", []) and [b""]) or [b""])
        body = app(environ(**{"wsgi.input": None}), lambda *_: None)
        list(body)
        body.close()

    def test_exceptions_are_the_app_s_own_and_propagate_unchanged(self):
        error = KeyError("the app's own")

        def app(environ, start_response):
            raise error

        for made in (wrapped(app), Gateway().wrap(app)):
            with pytest.raises(KeyError) as caught:
                call_wsgi(made, "GET", "/")
            assert caught.value is error
            with pytest.raises(LookupError):
                current()

    def test_current_holds_while_the_body_streams_and_not_beyond(self):
        seen = []

        def app(environ, start_response):
            assert environ["gatekeep"] is current()
            start_response("200 OK", [])
            yield b"x"
            seen.append(current().request.path)

        for made in (wrapped(app), Gateway().wrap(app)):
            call_wsgi(made, "GET", "/there")
            with pytest.raises(LookupError):
                current()
        assert seen == ["/there", "/there"]

    def test_threads_have_their_own(self):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield environ["PATH_INFO"].encode() + b" " + current().request.path.encode()

        made = wrapped(app)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda number: call_wsgi(made, "GET", f"/{number}").body, range(20)))
        assert answers == [b"/%d /%d" % (number, number) for number in range(20)]

    def test_what_was_set_around_the_app_is_put_back_last_first(self):
        log = []

        def around(exchange):
            exchange.on_leave(lambda: log.append("first"))
            exchange.on_leave(lambda: 1 / 0)
            exchange.on_leave(lambda: log.append("second"))

        setter = probe("setter", request=around)
        serve(Gateway(setter.spec, **lined_up(setter)).wrap(wsgi_app(lambda request: (200, [], b""))), "wsgi", log)
        assert log == [("head", 200), ("body", b""), "second", "first", "closed"]

    def test_an_app_wrapped_twice_is_passed_once(self):
        log = []
        watcher = probe("watcher", log)
        gateway = Gateway(watcher.spec, **lined_up(watcher))
        assert call_wsgi(gateway.wrap(gateway.wrap(wsgi_app(lambda request: (200, [], b"x")))), "GET", "/").body == b"x"
        assert log == ["watcher>", "<watcher", "watcher."]

    def test_it_keeps_to_pep_3333(self):
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"fine"]

        def checked(environ, start_response):
            without = {key: value for key, value in environ.items() if key != "gatekeep"}  # whose value is no string
            return validator(app)(without, start_response)

        for made in (wrapped(checked), Gateway().wrap(checked), wrapped(app), Gateway().wrap(app), wrapped(app, max_stream=10)):
            assert call_wsgi(validator(made), "GET", "/").body == b"fine"

    def test_the_wrapped_app_is_at_app(self):
        assert wrapped(reading).app is reading
