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
    """Load and check the suite; pin its own tasks and encoders if they are new, refuse them if they have changed."""
    from steadytune.store.own_changes import check_unchanged
    from steadytune.store.pinning_own import pin_new
    from steadytune.suite.loading import find_suite

    pin_new(find_suite(options.suite))
    suite = load_checked(options)
    check_unchanged(suite)
    return suite
