"""The suite that a command names, checked as far as the command needs."""

import argparse


def load(options: argparse.Namespace):
    """The suite, its names and settings checked."""
    from steadytune.suite.loading import find_suite, load_suite

    return load_suite(find_suite(options.suite))


def load_checked(options: argparse.Namespace):
    """The suite, with the names of its claims, tables and figures checked too: training does not depend on those."""
    from steadytune.dag.checks import check_outputs

    suite = load(options)
    check_outputs(suite)
    return suite


def load_pinned(options: argparse.Namespace):
    """The suite, checked, with its own tasks and encoders pinned where they are new, and refused where they changed."""
    from steadytune.store.own_changes import check_unchanged
    from steadytune.store.pinning_own import pin_new
    from steadytune.suite.loading import find_suite

    pin_new(find_suite(options.suite))
    suite = load_checked(options)
    check_unchanged(suite)
    return suite
