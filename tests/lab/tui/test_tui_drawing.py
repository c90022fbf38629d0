"""The plant as it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from lab.model.frame import Port
from lab.seat.view import HostView, PlantView, PortView
from lab.text import Text
from lab.tui.canvas import Canvas, shortened
from lab.tui.drawing import Place, draw

Cables = Sequence[tuple[str, str]]


def plant(
    cables: Cables, hosts: Mapping[str, Sequence[str]], switches: Sequence[str] = (), ports: int = 8
) -> PlantView:
    ends = [(Port.parse(a), Port.parse(b)) for a, b in cables]
    peers = dict(ends) | {b: a for a, b in ends}
    views = [
        HostView(
            name,
            "switch",
            Text(zh="交换机", en="Switch"),
            True,
            None,
            tuple(PortView(f"p{number}", "", peers.get(Port(name, f"p{number}"))) for number in range(1, ports + 1)),
        )
        for name in switches
    ]
    for name, own in hosts.items():
        addressed = tuple(
            PortView(port, f"10.1.1.{place}/24", peers.get(Port(name, port))) for place, port in enumerate(own)
        )
        views.append(HostView(name, "plc", Text(zh="控制器", en="A controller"), False, None, addressed))
    return PlantView(tuple(views), tuple(ends))


def picture(view: PlantView, width: int = 76) -> str:
    return "\n".join(line.plain for line in draw(view, width).lines)


ONE = {"plc": ("eth0",)}
TWO = {"plc": ("eth0",), "ws": ("eth0",)}


def test_a_device_hangs_on_the_port_of_its_switch() -> None:
    drawn = picture(plant([("plc/eth0", "sw/p3")], ONE, ["sw"]))
    assert "│p3" in drawn
    assert "no cable" not in drawn
    assert "○ p1 p2 p4–p8" in drawn, "the other ports are free"


def test_a_pulled_cable_shows_as_a_word_and_as_a_free_port() -> None:
    drawn = picture(plant([], ONE, ["sw"]))
    assert "✗ no cable" in drawn
    assert "○ p1–p8" in drawn


def test_the_cable_that_joins_two_switches_is_drawn_with_both_its_ports() -> None:
    apart = picture(plant([("plc/eth0", "a/p1"), ("ws/eth0", "b/p1")], TWO, ["a", "b"]))
    joined = picture(plant([("plc/eth0", "a/p1"), ("ws/eth0", "b/p1"), ("a/p8", "b/p7")], TWO, ["a", "b"]))
    assert "p8│p7" in joined
    assert "p8│p7" not in apart


def test_a_device_with_a_cable_to_each_of_two_switches_stands_between_them() -> None:
    view = plant([("fw/eth0", "a/p2"), ("fw/eth1", "b/p5")], {"fw": ("eth0", "eth1")}, ["a", "b"])
    places = draw(view, 76).places
    assert places["a"].y < places["fw"].y < places["b"].y
    drawn = picture(view)
    assert drawn.count("fw") == 1
    assert "│p2" in drawn
    assert "│p5" in drawn


def test_two_devices_may_share_a_cable_of_their_own() -> None:
    drawn = picture(plant([("plc/eth0", "ws/eth0")], TWO))
    assert "eth0  eth0" in drawn
    assert "no cable" not in drawn


def test_a_cable_that_cannot_be_drawn_is_told() -> None:
    drawn = picture(plant([("a/p1", "c/p2")], {}, ["a", "b", "c"]))
    assert "p1═c/p2" in drawn
    assert "p2═a/p1" in drawn


def test_more_devices_than_fit_beside_a_switch_still_all_appear() -> None:
    names = {f"plc-{number}": ("eth0",) for number in range(20)}
    cables = [(f"plc-{number}/eth0", f"sw/p{number + 1}") for number in range(20)]
    assert set(draw(plant(cables, names, ["sw"], 24), 76).places) == {*names, "sw"}


def test_what_is_chosen_and_what_is_busy_stands_out() -> None:
    view = plant([("plc/eth0", "sw/p3")], ONE, ["sw"])
    styles = [{str(span.style) for line in draw(view, 76, *how).lines for span in line.spans} for how in ((), ("plc",))]
    assert "bold $accent" not in styles[0]
    assert "bold $accent" in styles[1]
    busy = {str(span.style) for line in draw(view, 76, "", {"plc"}).lines for span in line.spans}
    assert "bold $warning" in busy - styles[0]


@st.composite
def plants(draw_: st.DrawFn) -> PlantView:
    switches = [f"sw-{number}" for number in range(draw_(st.integers(0, 4)))]
    hosts = {
        f"host-{number}": tuple(f"eth{port}" for port in range(draw_(st.integers(1, 3))))
        for number in range(draw_(st.integers(0, 9)))
    }
    ports = [f"{switch}/p{number}" for switch in switches for number in range(1, 9)]
    ports += [f"{host}/{port}" for host, own in hosts.items() for port in own]
    mixed = draw_(st.permutations(ports))
    pairs = list(zip(mixed[::2], mixed[1::2], strict=False))
    return plant(pairs[: draw_(st.integers(0, len(pairs)))], hosts, switches)


@given(plants(), st.integers(30, 140))
def test_whatever_the_cabling_every_device_has_a_place_of_its_own_within_the_width(view: PlantView, width: int) -> None:
    drawing = draw(view, width)
    assert set(drawing.places) == {host.name for host in view.hosts}
    assert all(cell_len(line.plain) <= width for line in drawing.lines)
    kinds = {host.name: host.is_switch for host in view.hosts}
    boxes = [place for name, place in drawing.places.items() if not kinds[name]]
    assert not any(overlap(a, b) for number, a in enumerate(boxes) for b in boxes[:number])


def many_patches() -> PlantView:
    patches = [(f"a/p{number}", f"b/p{number}") for number in range(2, 9)]
    return plant([("plc/eth0", "a/p1"), ("ws/eth0", "b/p1"), *patches], TWO, ["a", "b"])


@given(plants(), st.integers(60, 140))
@example(many_patches(), 60)
def test_no_cable_runs_over_a_device(view: PlantView, width: int) -> None:
    drawing = draw(view, width)
    cells = [list(line.plain) for line in drawing.lines]
    for place in drawing.places.values():
        right, bottom = place.x + place.width - 1, place.y + place.height - 1
        assert cells[place.y][place.x] + cells[bottom][place.x] in ("┌└", "╔╚")
        assert cells[place.y][right] + cells[bottom][right] in ("┐┘", "╗╝")
        for row in range(place.y + 1, bottom):
            assert "│" not in cells[row][place.x + 1 : right]


def overlap(a: Place, b: Place) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


# -- the sheet it is drawn on ------------------------------------------------------------------------------------------


def test_wide_characters_take_two_cells() -> None:
    canvas = Canvas(10)
    canvas.put(0, 0, "锅炉")
    canvas.put(5, 0, "x")
    assert canvas.lines()[0].plain == "锅炉 x"


def test_what_does_not_fit_is_left_out_and_not_halved() -> None:
    canvas = Canvas(3)
    canvas.put(0, 0, "锅炉")
    assert canvas.lines()[0].plain == "锅"


@given(st.text("锅炉abc ", max_size=30), st.integers(0, 20))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    assert cell_len(shortened(text, width)) <= width
    assert shortened(text, cell_len(text)) == text
