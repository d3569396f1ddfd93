# SPDX-License-Identifier: Apache-2.0
"""Constants in writable memory are found by their names."""
import unittest

import check_constants

HEADERS = ["  LOAD           0x37cbb8 0x000000000037cbb8 0x000000000037cbb8 0x01bc38 0x0249a8 RW  0x1000",
           "  GNU_RELRO      0x37cbb8 0x0000000000001000 0x0000000000001000 0x010448 0x001000 R   0x1"]


class CheckConstantsTest(unittest.TestCase):
    def found(self, *symbols):
        relro = check_constants.protected(HEADERS)
        return list(check_constants.writable_constants(symbols, relro))

    def test_constant_outside_of_relro_is_found(self):
        self.assertEqual(self.found("0000000000002000 d vmm::(anonymous namespace)::kKeys",
                                    "0000000000002100 D vmm::kKinds",
                                    "0000000000002200 d vmm::f(int)::kNeeds"),
                         ["vmm::(anonymous namespace)::kKeys", "vmm::kKinds", "vmm::f(int)::kNeeds"])

    def test_names_made_private_are_demangled(self):
        self.assertEqual(check_constants.PRIVATE.sub("", "1 d _ZN1aL1kE.lto_priv.0\n2 d b.lto_priv.12\n"),
                         "1 d _ZN1aL1kE\n2 d b\n")

    def test_constant_in_relro_or_in_read_only_memory_is_none(self):
        self.assertEqual(self.found("0000000000001000 d vmm::kFirst", "0000000000001fff d vmm::kLast",
                                    "0000000000000500 r vmm::kReadOnly"), [])

    def test_end_of_relro_is_outside(self):
        self.assertEqual(self.found("0000000000002000 d vmm::kNext"), ["vmm::kNext"])

    def test_variables_are_none(self):
        self.assertEqual(self.found("0000000000003000 d vmm::(anonymous namespace)::g_terminal",
                                    "0000000000003000 d vmm::keys", "0000000000003000 b vmm::kZero"), [])

    def test_program_without_relro_has_no_protected_memory(self):
        self.assertEqual(check_constants.protected(HEADERS[:1]), (0, 0))


if __name__ == "__main__":
    unittest.main()
