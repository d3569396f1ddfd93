# SPDX-License-Identifier: Apache-2.0
"""How ./do bare ends, with everything that needs root, time or a network left out."""
import os
import pathlib
import subprocess
import tempfile
import unittest

# What the real ones do takes minutes; `in_root` ends as the step in the root would.
STUBS = """. tools/bare.sh
setup_part() { :; }
make_root() { :; }
as_root() { "$@"; }
in_root() { [[ $2 != *setup ]]; }
main "$@"
"""


class BareTest(unittest.TestCase):
    def run_steps(self, *steps):
        """The exit code, the end of standard error, and what is left in the folder for temporary files."""
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["bash", "-c", STUBS, "bare", *steps], env={**os.environ, "TMPDIR": folder},  # runs: bash
                                  cwd=pathlib.Path(__file__).parent.parent, capture_output=True, text=True)
            return done.returncode, done.stderr.splitlines()[-1], os.listdir(folder)

    def test_steps_that_are_fine_end_with_0_and_leave_nothing(self):
        self.assertEqual(self.run_steps("try", "packages"), (0, "== in a bare Debian 12 these are fine: try packages", []))

    def test_step_that_fails_is_named_and_leaves_nothing(self):
        self.assertEqual(self.run_steps("try", "setup"), (1, "./do: in a bare Debian 12 these fail: setup", []))

    def test_unknown_step_is_refused_before_anything_is_made(self):
        code, said, left = self.run_steps("nothing")
        self.assertEqual((code, left), (1, []))
        self.assertIn("no step 'nothing'", said)


if __name__ == "__main__":
    unittest.main()
