# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command gets in each phase of a motion: the table of docs/protocol.md, cell by cell."""
from __future__ import annotations

import pytest

from tests.simulator.harness import ask, report
from warwick.observatory.focuslynx.simulator import Hub
from warwick.observatory.focuslynx.simulator.focuser import Phase

ER1 = 'ER=1 Unacceptable Parameter Received In Command\n'
ER4 = 'ER=4 Cannot Execute Command While Device Is Moving\n'


def _in(phase: Phase, device_type: str) -> tuple[Hub, float]:
    """A hub whose first channel is in this phase, and the time."""
    hub = Hub({'type.1': device_type, 'max_pos.1': '65535', 'position.1': '30000', 'tempco': '-100,0,0,0,0'})
    now = 0.0
    if phase is Phase.MOVE:
        ask(hub, '<F1MA040000>')
    elif phase is Phase.BLC_OUT:
        ask(hub, '<F1SCBE1>')
        ask(hub, '<F1MA040000>')
    elif phase is Phase.TC:
        ask(hub, '<F1SCTE1>')
        hub.set('probe.1', '11.7', 0.0)
    elif phase is Phase.REL:
        ask(hub, '<F1MOR0>')
    elif phase is Phase.HAND:
        hub.hand(1, 1000, 0.0)
    elif phase in (Phase.HOME_IN, Phase.HOME_BACK):
        ask(hub, '<F1HOME>')
        now = 0.5 if phase is Phase.HOME_IN else 30000 / 800 + 0.5
    now += 0.5
    hub.advance(now)
    assert hub.focusers[1].phase is phase
    return hub, now


MOVING = [Phase.MOVE, Phase.BLC_OUT, Phase.TC, Phase.REL, Phase.HAND]
HOMING = [Phase.HOME_IN, Phase.HOME_BACK]
# command: in rest, in motion, in homing; two replies stand for syncing and homing types
TABLE: dict[str, tuple[str | tuple[str, str], str | tuple[str, str], str]] = {
    'HALT': ('HALTED\n',) * 3,
    'MA020000': ('M\n', 'M\n', ER4),
    'CENTER': ('M\n', 'M\n', ER4),
    'MIR0': ('M\n', 'M\n', ER4),
    'MIR1': ('M\n', 'M\n', ER4),
    'MOR0': ('M\n', 'M\n', ER4),
    'MOR1': ('M\n', 'M\n', ER4),
    'ERM': ('STOPPED\n', 'STOPPED\n', ER4),
    'HOME': ((ER1, 'H\n'), (ER1, 'H\n'), ER4),
    'SCCP000500': (('SET\n', ER1), ER4, ER4),
    'SCDTSB': ('SET\n', ER4, ER4),
    'RESET': ('SET\n', ER4, ER4),
    **dict.fromkeys(('SCNNname', 'SCTE0', 'SCTE1', 'SCTMA', 'SCTCA-0100', 'SCTS0', 'SCBE0', 'SCBS10', 'REVERSE0',
                     'SETFSS000100', 'SETINTA+000100'), ('SET\n',) * 3),
    'HELLO': ('FocusLynx Foc1\n',) * 3,
}
CELLS = [(phase, kind, command, column)
         for command, row in TABLE.items()
         for column, phases in zip(row, ([Phase.IDLE], MOVING, HOMING))
         for phase in phases
         for kind in ('FA', 'OE') if kind == 'OE' or phase not in HOMING]


@pytest.mark.parametrize('phase, kind, command, reply', CELLS, ids=[
    f'{command}-{phase.name}-{kind}' for phase, kind, command, _ in CELLS])
def test_a_command_gets_its_reply(phase: Phase, kind: str, command: str, reply: str | tuple[str, str]) -> None:
    hub, now = _in(phase, kind)
    wanted = reply if isinstance(reply, str) else reply[kind == 'OE']
    assert ask(hub, f'<F1{command}>', now) == wanted


@pytest.mark.parametrize('phase', Phase)
@pytest.mark.parametrize('command, header', [('GETSTATUS', 'STATUS1'), ('GETCONFIG', 'CONFIG1'),
                                             ('GETTCI', 'TEMP COMP1')])
def test_reports_are_given_in_every_phase(phase: Phase, command: str, header: str) -> None:
    hub, now = _in(phase, 'OE')
    assert ask(hub, f'<F1{command}>', now).startswith(header + '\n')


@pytest.mark.parametrize('phase', [*MOVING, *HOMING])
@pytest.mark.parametrize('command', [text for text, row in TABLE.items() if ER4 in row])
def test_a_refused_command_does_not_disturb_the_motion(phase: Phase, command: str) -> None:
    hub, now = _in(phase, 'OE')
    undisturbed, _ = _in(phase, 'OE')
    if ask(hub, f'<F1{command}>', now) == ER4:
        for later in (now + 1, now + 1000):
            assert ask(hub, '<F1GETSTATUS>', later) == ask(undisturbed, '<F1GETSTATUS>', later)


@pytest.mark.parametrize('phase', [*MOVING, *HOMING])
@pytest.mark.parametrize('command', ['HALT', 'ERM'])
def test_a_stopped_focuser_wants_to_be_where_it_is(phase: Phase, command: str) -> None:
    hub, now = _in(phase, 'OE')
    if ask(hub, f'<F1{command}>', now) == ER4:
        return
    before = report(hub, '<F1GETSTATUS>', now)
    assert before['Curr Pos'] == before['Targ Pos']
    assert (before['IsMoving'], before['IsHoming']) == ('0', '0')
    assert report(hub, '<F1GETSTATUS>', now + 1000) == before


@pytest.mark.parametrize('phase', MOVING)
@pytest.mark.parametrize('command, end', [('MA020000', 20000), ('CENTER', 32767), ('MIR0', 0), ('MOR1', 65535)])
def test_a_new_motion_takes_the_place_of_the_old_one(phase: Phase, command: str, end: int) -> None:
    hub, now = _in(phase, 'FA')
    ask(hub, '<F1SCTE0>', now)
    ask(hub, f'<F1{command}>', now)
    hub.advance(now + 1000)
    assert (hub.focusers[1].position, hub.focusers[1].moving) == (end, False)


@pytest.mark.parametrize('phase', MOVING)
def test_a_homing_run_takes_the_place_of_any_motion(phase: Phase) -> None:
    hub, now = _in(phase, 'OE')
    assert ask(hub, '<F1HOME>', now) == 'H\n'
    status = report(hub, '<F1GETSTATUS>', now)
    assert (status['Curr Pos'], status['Targ Pos'], status['IsHoming']) == ('065535', '000000', '1')


@pytest.mark.parametrize('phase', MOVING)
@pytest.mark.parametrize('command', ['MA020000', 'CENTER'])
def test_a_hub_may_refuse_a_move_during_a_motion(phase: Phase, command: str) -> None:
    hub, now = _in(phase, 'FA')
    hub.set('ma_while_moving', 'error', now)
    assert ask(hub, f'<F1{command}>', now) == ER4


def test_a_setter_during_a_move_takes_effect() -> None:
    hub, now = _in(Phase.MOVE, 'FA')
    ask(hub, '<F1SCNNmoving>', now)
    assert ask(hub, '<F1HELLO>', now) == 'moving\n'
    hub.advance(now + 100)
    assert hub.focusers[1].position == 40000
