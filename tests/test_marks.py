"""Marks on whatever can be a view, and finding them again behind wrappers, partials and classes."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import itertools
from types import MappingProxyType

import pytest

import gatekeep.marks
from gatekeep.component import Off, Spec
from gatekeep.errors import ConfigurationError
from gatekeep.marks import decorated, layers, mark, marks, settle, strays, view_marks
from interleaving import meanwhile


class First(Spec):
    pass


class Second(Spec):
    pass


FIRST, SECOND = First(), Second()


def plain():
    return "plain"


def passing(view):
    """A decorator as people write them."""

    @functools.wraps(view)
    def wrapper(*arguments, **options):
        return view(*arguments, **options)

    return wrapper


def careless(view):
    """A decorator as people should not write them."""

    def wrapper(*arguments, **options):
        return view(*arguments, **options)

    return wrapper


def common(view):
    return list(view_marks(view).common)


class TestMarking:
    def test_the_same_function_comes_back(self):
        def view(order_id: int) -> str:
            """Says something."""
            return "x"

        before = (view, view.__name__, view.__doc__, inspect.signature(view))
        assert FIRST(view) is view
        assert (view, view.__name__, view.__doc__, inspect.signature(view)) == before
        assert marks(view) == (FIRST,)

    def test_the_innermost_decorator_comes_first(self):
        @SECOND
        @FIRST
        def view():
            pass

        assert marks(view) == (FIRST, SECOND)

    def test_what_can_be_a_view_can_be_marked(self):
        async def coroutine():
            pass

        class Callable:
            def __call__(self):
                pass

        views = [
            coroutine,
            lambda: None,
            functools.partial(plain),
            functools.lru_cache(plain),
            Callable(),
            type("View", (), {}),
        ]
        for view in views:
            assert FIRST(view) is view
            assert FIRST in common(view)
        assert inspect.iscoroutinefunction(coroutine)
        assert asyncio.run(coroutine()) is None

    def test_static_and_class_methods_in_either_order(self):
        class View:
            @FIRST
            @staticmethod
            def one():
                pass

            @staticmethod
            @FIRST
            def two():
                pass

            @FIRST
            @classmethod
            def three(cls):
                pass

        assert [common(view) for view in (View.one, View.two, View.three)] == [[FIRST]] * 3

    @pytest.mark.parametrize("target", [len, 7, type("Slotted", (), {"__slots__": ()})(), [].append])
    def test_what_can_hold_no_mark_is_a_mistake_with_file_and_line(self, target):
        with pytest.raises(ConfigurationError, match="can't be put on") as caught:
            FIRST(target)
        assert caught.value.origin.file == __file__

    def test_a_bound_method_is_one_too(self):
        class View:
            def get(self):
                pass

        with pytest.raises(ConfigurationError, match="bound method"):
            FIRST(View().get)

    def test_reading_marks_of_anything_is_safe(self):
        assert marks(7) == ()
        assert marks(len) == ()
        assert marks(plain) == ()


class TestLayers:
    def test_wrappers_partials_and_methods(self):
        class View:
            def get(self):
                pass

        inner = View().get
        view = functools.partial(passing(functools.partial(inner)))
        found = list(layers(view))
        assert found[0] is view
        assert found[-1] is View.get
        assert len(found) == 5

    def test_a_wrapper_of_itself_ends(self):
        def view():
            pass

        view.__wrapped__ = view
        assert list(layers(view)) == [view]
        assert list(layers(None)) == []

    def test_view_class_and_cls_are_what_frameworks_call_the_class(self):
        class View:
            pass

        for name in ("view_class", "cls"):

            def view():
                pass

            setattr(view, name, View)
            assert list(layers(view)) == [view, View]


class TestFinding:
    def test_decorators_in_any_order(self):
        @FIRST
        @passing
        @SECOND
        @passing
        def view():
            pass

        assert common(view) == [SECOND, FIRST]

    def test_each_spec_once_though_wraps_copies_the_reference(self):
        @passing
        @FIRST
        def view():
            pass

        assert marks(view) == (FIRST,)
        assert common(view) == [FIRST]

    def test_a_mark_on_the_wrapper_is_not_on_what_it_wraps(self):
        def view():
            pass

        FIRST(view)
        outer = SECOND(passing(view))
        assert marks(view) == (FIRST,)
        assert marks(outer) == (FIRST, SECOND)

    def test_behind_a_careless_wrapper_there_is_nothing(self):
        @careless
        @FIRST
        def view():
            pass

        assert common(view) == []

    def test_a_callable_instance_with_a_marked_call(self):
        class Base:
            @FIRST
            def __call__(self):
                pass

        class View(Base):
            pass

        assert common(View()) == [FIRST]

    def test_a_callable_instance_of_a_marked_class(self):
        @FIRST
        class View:
            def __call__(self):
                pass

        view = SECOND(View())
        assert common(view) == [FIRST, SECOND]


class TestClasses:
    def test_methods_for_themselves_and_the_class_for_all(self):
        @FIRST
        class View:
            @SECOND
            def get(self):
                pass

            def post(self):
                pass

        found = view_marks(View)
        assert found.common == (FIRST,)
        assert found.by_method == {"GET": (SECOND,), "HEAD": (SECOND,)}

    def test_head_may_say_something_else(self):
        class View:
            @FIRST
            def get(self):
                pass

            @SECOND
            def head(self):
                pass

        assert view_marks(View).by_method == {"GET": (FIRST,), "HEAD": (SECOND,)}

    @pytest.mark.parametrize("name", ["dispatch", "dispatch_request", "__call__"])
    def test_what_every_request_passes_is_for_all(self, name):
        assert view_marks(type("View", (), {name: FIRST(lambda self: None)})).common == (FIRST,)

    def test_a_subclass_inherits_methods_and_class(self):
        @FIRST
        class Base:
            @SECOND
            def get(self):
                pass

        class View(Base):
            pass

        found = view_marks(View)
        assert found.common == (FIRST,)
        assert found.by_method["GET"] == (SECOND,)
        assert {id(Base), id(Base.get)} <= found.reached

    def test_of_each_kind_the_nearest_class_decides(self):
        nearer = First()

        @FIRST
        @SECOND
        class Base:
            pass

        @nearer
        class Middle(Base):
            pass

        class View(Middle):
            pass

        assert view_marks(View).common == (SECOND, nearer)
        assert view_marks(Base).common == (SECOND, FIRST)

    def test_off_on_a_subclass_turns_the_base_s_off(self):
        @FIRST
        class Base:
            pass

        @First.off()
        class View(Base):
            pass

        (only,) = view_marks(View).common
        assert isinstance(only, Off)
        assert only.about is First

    def test_functions_that_drf_names_in_actions(self):
        class ViewSet:
            @FIRST
            def list(self):
                pass

            def create(self):
                pass

        def view():
            pass

        view.cls, view.actions = ViewSet, {"get": "list", "post": "create"}
        assert view_marks(view).by_method == {"GET": (FIRST,), "HEAD": (FIRST,)}

    def test_an_attribute_of_that_name_on_other_classes_means_nothing(self):
        class View:
            actions = MappingProxyType({"approve": "x"})

            @FIRST
            def get(self):
                pass

        assert view_marks(View).by_method["GET"] == (FIRST,)


class TestOverriding:
    """A subclass that overrides a decorated method must say something of each of its specs."""

    @pytest.fixture
    def base(self):
        """Made for each test: what is decorated and lives on would be an orphan in the others."""

        class Base:
            @FIRST
            @SECOND
            def get(self):
                pass

        return Base

    def test_with_nothing_is_named(self, base):
        class View(base):
            def get(self):
                pass

        assert view_marks(View).overridden == ((SECOND, View.get), (FIRST, View.get))

    def test_with_one_of_two_the_other_is_named(self, base):
        class View(base):
            @First.off()
            def get(self):
                pass

        assert view_marks(View).overridden == ((SECOND, View.get),)

    def test_with_all_is_fine_and_the_base_is_no_orphan(self, base):
        class View(base):
            @First()
            @Second.off()
            def get(self):
                pass

        found = view_marks(View)
        assert found.overridden == ()
        assert id(base.get) in found.reached

    def test_the_overriding_class_may_say_it(self, base):
        @First.off()
        @Second.off()
        class View(base):
            def get(self):
                pass

        class Further(View):
            pass

        assert view_marks(View).overridden == ()
        assert view_marks(Further).overridden == ()

    def test_a_class_above_the_override_does_not_count(self, base):
        @First()
        @Second()
        class Above(base):
            pass

        class View(Above):
            def get(self):
                pass

        assert len(view_marks(View).overridden) == 2

    def test_a_mark_behind_a_wrapper_counts(self):
        class Base:
            @passing
            @FIRST
            def get(self):
                pass

        class View(Base):
            @passing
            @First()
            def get(self):
                pass

        assert view_marks(View).overridden == ()


class TestStrays:
    def test_what_no_route_leads_to_until_one_does(self):
        @FIRST
        def view():
            pass

        assert (view, FIRST) in decorated()
        assert (view, FIRST) in strays()
        settle({id(view)})
        settle(())
        assert (view, FIRST) not in strays()
        assert (view, FIRST) in decorated()

    def test_what_is_gone_is_forgotten(self):
        def view():
            pass

        spec = First()
        mark(view, spec)
        assert any(found is spec for _, found in decorated())
        del view
        assert not any(found is spec for _, found in decorated())


def test_what_is_gone_is_forgotten_without_anybody_asking():
    """Django's method_decorator decorates anew at each request."""
    gc.collect()  # what other tests have left, or some of it
    before = len(gatekeep.marks._decorated)
    for _ in range(100):
        mark(lambda: None, "spec")
    assert len(gatekeep.marks._decorated) <= before


def test_who_copies_the_attributes_of_several_takes_all_marks_along():
    """As Django's method_decorator does, with a copy for each decorator."""
    first, second, both = (FIRST(lambda: None), SECOND(lambda: None), lambda: None)
    functools.update_wrapper(both, second)
    functools.update_wrapper(both, first)
    assert marks(both) == (FIRST, SECOND)


def test_attributes_that_another_thread_sets_while_marks_are_read():
    class View:
        pass

    for target in (FIRST(lambda: None), FIRST(View)):
        numbers = itertools.count()
        with meanwhile(lambda target=target, numbers=numbers: setattr(target, f"late_{next(numbers)}", None)):
            found = marks(target)
        assert found == (FIRST,)
