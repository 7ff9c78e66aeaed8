"""Load the suite that a command names, checked as far as the command needs."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steadytune.suite.suite import Suite


def load(options: argparse.Namespace) -> "Suite":
    """Load the suite and check its cells' names and settings, which is all that training depends on."""
    from steadytune.suite.loading import find_suite, load_suite

    return load_suite(find_suite(options.suite))


def load_checked(options: argparse.Namespace) -> "Suite":
    """Load the suite and also check the names of its claims, tables and figures."""
    from steadytune.dag.checks import check_outputs

    suite = load(options)
    check_outputs(suite)
    return suite


def load_pinned(options: argparse.Namespace) -> "Suite":
    """Load the suite and check its whole file; pin its own tasks and encoders if they are new, refuse changed ones."""
    from steadytune.dag.checks import file_problems
    from steadytune.errors import raise_all
    from steadytune.store.own_changes import check_unchanged
    from steadytune.store.pinning_own import pin_new
    from steadytune.suite.loading import find_suite, read_suite

    path = find_suite(options.suite)
    pin_new(path, file_problems)
    suite = read_suite(path)
    raise_all(file_problems(suite))
    check_unchanged(suite)
    return suite
