"""The papers' tables and figures: what they print beside what a suite has found, in their own layout."""
