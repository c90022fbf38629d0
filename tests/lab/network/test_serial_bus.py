"""Who hears what on a serial bus follows from the wires, the settings, the resistors and who speaks at once."""

from __future__ import annotations

import asyncio

import pytest
from serial_kit import EVEN_9600, SerialPlant, tell

from lab.clock import EPOCH_NS
from lab.model.frame import Port
from lab.network.serial.electrical import rs485_bit_errors
from lab.network.serial.line import LineSettings
from lab.network.serial.port import WRITE_LIMIT, Rs232, Rs485

READ = bytes.fromhex("0103000000018e0a")
"""Unit 1, one holding register."""
LONGER = READ * 4


def test_on_a_bus_everybody_else_hears_what_one_says_and_when_it_is_through() -> None:
    async def story(plant: SerialPlant) -> None:
        master, first, last = (plant.station(name) for name in ("m", "s1", "s2"))
        plant.daisy("m", "s1", "s2")
        began = plant.loop.time()
        master.port.write(READ)
        await asyncio.sleep(8 * 11 / 9600 - 1e-6)
        assert not first.heard, "the last stop bit is not through"
        await asyncio.sleep(2e-6)
        assert first.data == last.data == READ
        assert not master.heard
        assert first.heard[0].ended - began == pytest.approx(8 * 11 / 9600)
        first.port.write(b"yes")
        await asyncio.sleep(0.1)
        assert master.data == b"yes"

    tell(story)


def test_characters_written_meanwhile_follow_without_a_gap() -> None:
    async def story(plant: SerialPlant) -> None:
        master, other = plant.station("m"), plant.station("s")
        plant.daisy("m", "s")
        master.port.write(b"abc")
        master.port.write(b"def")
        assert (master.port.is_sending, master.port.waiting) == (True, 3)
        await asyncio.sleep(0.1)
        before, after = other.heard
        assert (before.data, after.data) == (b"abc", b"def")
        assert after.began == before.ended

    tell(story)


def test_one_who_is_not_wired_hears_nothing_and_a_wire_pulled_ends_it_in_the_middle() -> None:
    async def story(plant: SerialPlant) -> None:
        master, other = plant.station("m"), plant.station("s")
        master.port.write(READ)
        await asyncio.sleep(0.1)
        assert not other.heard
        plant.daisy("m", "s")
        master.port.write(READ)
        await asyncio.sleep(0.004)
        plant.network.conductors.unwire(Port("m", "A"), Port("s", "A"))
        await asyncio.sleep(0.1)
        assert (other.data, other.flaws) == (b"", 1)
        master.port.write(READ)
        await asyncio.sleep(0.1)
        assert len(other.heard) == 1, "one wire without a common ground carries nothing"

    tell(story)


def test_one_wire_and_the_ground_carry_something_but_not_reliably() -> None:
    async def story(plant: SerialPlant) -> None:
        master, other = plant.station("m"), plant.station("s")
        plant.wire("m/A s/A", "m/GND s/GND")
        for _ in range(50):
            master.port.write(LONGER)
            await asyncio.sleep(0.1)
        assert len(other.heard) == 50
        assert 5 < sum(each.flaws > 0 for each in other.heard) <= 50

    tell(story)


def test_a_device_with_swapped_wires_hears_garbage_and_makes_noise_for_the_others() -> None:
    async def story(plant: SerialPlant) -> None:
        master, right, swapped = (plant.station(name) for name in ("m", "s1", "s2"))
        plant.daisy("m", "s1")
        plant.wire("s1/A s2/B", "s1/B s2/A")
        master.port.write(READ)
        await asyncio.sleep(0.1)
        assert (right.data, right.flaws) == (READ, 0)
        assert swapped.data != READ
        assert swapped.flaws
        swapped.port.write(READ)
        await asyncio.sleep(0.1)
        assert master.data == right.data[len(READ) :] != READ
        assert master.flaws

    tell(story)


def test_wires_that_touch_silence_the_bus() -> None:
    async def story(plant: SerialPlant) -> None:
        master, other = plant.station("m"), plant.station("s")
        plant.daisy("m", "s")
        plant.wire("s/A s/B")
        master.port.write(READ)
        await asyncio.sleep(0.1)
        assert not other.heard

    tell(story)


def test_a_receiver_at_another_speed_gets_something_else() -> None:
    async def story(plant: SerialPlant) -> None:
        master, other = plant.station("m"), plant.station("s", LineSettings(baud=19200))
        plant.daisy("m", "s")
        master.port.write(READ)
        await asyncio.sleep(0.1)
        assert other.data != READ
        assert other.flaws

    tell(story)


def test_two_who_speak_at_once_make_garbage_where_they_overlap() -> None:
    async def story(plant: SerialPlant) -> None:
        one, two, listener = (plant.station(name) for name in ("s1", "s2", "m"))
        plant.daisy("m", "s1", "s2")
        one.port.write(b"0123456789")
        await asyncio.sleep(5.5 * 11 / 9600)
        two.port.write(b"abcdefghij")
        await asyncio.sleep(0.1)
        (heard,) = listener.heard
        assert heard.data[:5] == b"01234", "what was through before"
        assert heard.data[-5:] == b"fghij", "what came when the other had stopped"
        assert heard.flaws >= 4
        assert heard.data[5:-5] != b"56789"
        assert two.data == b"01234", "then its own transmitter deafened it"
        assert one.data == b"fghij", "it hears the other's rest"

    tell(story)


def test_everybody_hears_two_who_begin_together_as_one_garbled_burst() -> None:
    async def story(plant: SerialPlant) -> None:
        one, two, listener = (plant.station(name) for name in ("s1", "s2", "m"))
        plant.daisy("m", "s1", "s2")
        one.port.write(READ)
        two.port.write(READ)
        await asyncio.sleep(0.1)
        (heard,) = listener.heard
        assert heard.flaws == len(heard.data) == len(READ)

    tell(story)


def test_noise_garbles_some_and_ends_when_its_cause_does() -> None:
    async def story(plant: SerialPlant) -> None:
        master, other, third = (plant.station(name) for name in ("m", "s1", "s2"))
        plant.daisy("m", "s1", "s2")
        third.port.disturb(0.002, "welder")
        for _ in range(100):
            master.port.write(LONGER)
            await asyncio.sleep(0.1)
        bad = sum(each != LONGER for each in (reception.data for reception in other.heard))
        assert 20 < bad < 80
        assert [each.data for each in other.heard] == [each.data for each in third.heard], "it is the line that is bad"
        third.port.disturb(0.0, "welder")
        other.heard.clear()
        for _ in range(20):
            master.port.write(LONGER)
            await asyncio.sleep(0.1)
        assert other.data == LONGER * 20

    tell(story)


def garbled(baud: int, length: float, ends: tuple[bool, bool], resistors: int = 0, *, bias: bool = True) -> int:
    """How many of 100 frames are garbled at the far end."""

    async def story(plant: SerialPlant) -> int:
        settings = LineSettings.model_validate({"baud": baud})
        master, middle, last = (plant.station(name, settings, bias=bias and name == "m") for name in ("m", "s1", "s2"))
        plant.daisy("m", "s1", "s2", length=length)
        master.port.equip(termination=ends[0])
        last.port.equip(termination=ends[1])
        for number in range(resistors):
            plant.network.serial.add_terminator(f"r{number}", ("1", "2"))
            plant.wire(f"r{number}/1 s1/A", f"r{number}/2 s1/B")
        for _ in range(100):
            master.port.write(LONGER)
            await asyncio.sleep(0.1)
        assert len(middle.heard) == 100
        return sum(reception.data != LONGER or reception.flaws > 0 for reception in last.heard)

    return tell(story)


def test_a_short_slow_bus_works_without_terminators_and_a_long_one_does_not() -> None:
    assert garbled(9600, 20, (False, False)) == 0
    assert garbled(9600, 1200, (False, False)) > 50
    assert garbled(9600, 1200, (True, True)) == 0
    assert garbled(115200, 20, (False, False)) == 0
    assert garbled(115200, 200, (False, False)) > 50
    assert garbled(115200, 200, (True, True)) == 0


def test_too_many_terminators_are_too_much_for_the_driver() -> None:
    assert garbled(9600, 1000, (True, True)) == 0
    assert garbled(9600, 1000, (True, True), resistors=4) > 20


def test_a_line_that_nothing_holds_at_rest_starts_falsely_now_and_then() -> None:
    assert 0 < garbled(9600, 50, (True, True), bias=False) < 20
    assert garbled(9600, 50, (True, True), bias=True) == 0


def test_a_resistor_counts_as_the_end_where_it_is_wired_to_the_last_device() -> None:
    async def story(plant: SerialPlant) -> None:
        for name in ("m", "s1", "s2"):
            plant.station(name)
        plant.daisy("m", "s1", "s2")
        plant.network.serial.add_terminator("r", ("1", "2"))
        plant.wire("r/1 s2/A")
        assert (plant.network.serial.bus(Port("m", "com")).at_ends) == 0, "one leg is not enough"
        plant.wire("r/2 s2/B")
        bus = plant.network.serial.bus(Port("m", "com"))
        assert (bus.at_ends, bus.elsewhere, bus.length) == (1, 0, 20.0)
        plant.station("s3")
        plant.daisy("s2", "s3")
        bus = plant.network.serial.bus(Port("m", "com"))
        assert (bus.at_ends, bus.elsewhere) == (0, 1), "the line goes on beyond it"

    tell(story)


def test_more_than_32_unit_loads_drag_the_line_down() -> None:
    assert rs485_bit_errors(100, 9600, at_ends=2, unit_loads=32) < 1e-9
    assert rs485_bit_errors(100, 9600, at_ends=2, unit_loads=64) > 1e-3


def test_rs232_takes_tx_to_rx_with_a_common_ground_and_both_may_speak_at_once() -> None:
    async def story(plant: SerialPlant) -> None:
        one, two = plant.station("pc", EVEN_9600, Rs232()), plant.station("scale", EVEN_9600, Rs232())
        plant.wire("pc/TX scale/RX", "pc/RX scale/TX")
        one.port.write(b"without ground")
        await asyncio.sleep(0.1)
        assert not two.heard
        plant.wire("pc/GND scale/GND")
        one.port.write(b"question")
        two.port.write(b"12.5 kg")
        await asyncio.sleep(0.1)
        assert (one.data, two.data, one.flaws, two.flaws) == (b"12.5 kg", b"question", 0, 0)

    tell(story)


def test_rs232_straight_through_does_not_work_and_neither_do_rs232_and_rs485_together() -> None:
    async def story(plant: SerialPlant) -> None:
        one, two = plant.station("pc", EVEN_9600, Rs232()), plant.station("scale", EVEN_9600, Rs232())
        third = plant.station("bus", EVEN_9600, Rs485())
        plant.wire("pc/TX scale/TX", "pc/RX scale/RX", "pc/GND scale/GND", "pc/TX bus/A", "pc/RX bus/B")
        one.port.write(b"hello")
        await asyncio.sleep(0.1)
        assert not two.heard
        assert not third.heard

    tell(story)


def test_a_port_with_two_kinds_of_terminals_uses_those_it_is_set_to() -> None:
    async def story(plant: SerialPlant) -> None:
        port = plant.network.serial.add_port(Port("ss", "1"), Rs485("A1", "B1", "G1"), Rs232("T1", "R1", "G1"))
        heard: list[bytes] = []
        port.open(EVEN_9600, lambda reception: heard.append(reception.data))
        scale = plant.station("scale", EVEN_9600, Rs232())
        plant.wire("ss/T1 scale/RX", "ss/R1 scale/TX", "ss/G1 scale/GND")
        scale.port.write(b"1")
        await asyncio.sleep(0.1)
        port.equip(interface=Rs232("T1", "R1", "G1"))
        scale.port.write(b"2")
        await asyncio.sleep(0.1)
        assert heard == [b"2"]

    tell(story)


def test_a_port_that_is_closed_hears_nothing_and_what_it_was_sending_breaks_off() -> None:
    async def story(plant: SerialPlant) -> None:
        master, other = plant.station("m"), plant.station("s")
        plant.daisy("m", "s")
        master.port.write(READ)
        await asyncio.sleep(0.003)
        master.port.close()
        master.port.write(READ)
        await asyncio.sleep(0.1)
        assert (other.data, other.flaws) == (b"", 1)
        other.port.write(READ)
        await asyncio.sleep(0.1)
        assert not master.heard

    tell(story)


def test_a_port_keeps_so_much_and_counts_what_it_cannot() -> None:
    async def story(plant: SerialPlant) -> None:
        master = plant.station("m")
        master.port.write(b"x")
        master.port.write(bytes(WRITE_LIMIT))
        master.port.write(b"too much")
        assert (master.port.waiting, master.port.lost) == (WRITE_LIMIT, 8)
        master.port.close()

    tell(story)


def test_an_analyser_sees_every_frame_once_with_its_errors_and_the_time_of_its_end() -> None:
    async def story(plant: SerialPlant) -> None:
        master, one, two = plant.station("m"), plant.station("s1"), plant.station("s2", LineSettings(baud=19200))
        plant.daisy("m", "s1", "s2")
        master.port.write(READ)
        await asyncio.sleep(0.1)
        two.port.write(b"fast")
        await asyncio.sleep(0.1)
        one.port.write(READ[:4])
        one.port.write(READ[4:])
        await asyncio.sleep(0.1)
        assert [data for _, _, data in plant.seen] == [READ, b"fast", READ]
        assert {str(tap.seen_at) for tap, _, _ in plant.seen} == {"bus/m.com"}
        assert plant.seen[0][1] == pytest.approx(EPOCH_NS + 8 * 11 / 9600 * 1e9, abs=1000)
        plant.network.serial.port(Port("m", "com")).disturb(0.05)
        one.port.write(READ)
        await asyncio.sleep(0.1)
        assert plant.seen[3][2] != READ

    tell(story)


def test_the_same_seed_gives_the_same_garbage() -> None:
    async def story(plant: SerialPlant) -> list[bytes]:
        one, two, listener = (plant.station(name) for name in ("s1", "s2", "m"))
        plant.daisy("m", "s1", "s2")
        plant.network.serial.port(Port("m", "com")).disturb(0.01)
        for _ in range(5):
            one.port.write(READ)
            two.port.write(READ)
            await asyncio.sleep(0.1)
            one.port.write(READ)
            await asyncio.sleep(0.1)
        return [reception.data for reception in listener.heard]

    assert tell(story) == tell(story)
