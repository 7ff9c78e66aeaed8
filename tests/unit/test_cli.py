"""The command line: what is wrong in it is said in one line, with the nearest name."""

import pytest

from steadytune.cli import main


@pytest.mark.parametrize(
    ("arguments", "command", "said"),
    [
        (["plna"], "steadytune", "argument COMMAND: unknown 'plna' (did you mean 'plan'?)"),
        (["render", "mini", "tabels"], "steadytune render", "argument what: unknown 'tabels' (did you mean 'tables'?)"),
        (["plan", "--budgt=4h", "mini"], "steadytune plan", "unknown argument '--budgt' (did you mean '--budget'?)"),
        (["plan"], "steadytune plan", "the following arguments are required: SUITE"),
    ],
)
def test_a_mistake_is_said_in_one_line(arguments, command, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"{command}: {said}; `{command} --help` says more\n"


def test_commands_are_named_where_none_is_near(capsys):
    with pytest.raises(SystemExit):
        main(["zzz"])
    said = capsys.readouterr().err
    assert said.startswith("steadytune: argument COMMAND: unknown 'zzz'; known: check-method, claims, ")
    assert said.count("\n") == 1
