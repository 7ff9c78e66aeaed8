"""The papers' tables and figures in their own layout: the printed numbers next to a suite's."""
