# SPDX-License-Identifier: Apache-2.0
# Unit tests that are built for another machine and run in an emulator of its programs: which rooms, and what of them
# the emulator (Debian 12's qemu-aarch64) cannot do. The rest is the same code on every machine, and takes minutes where
# each instruction is emulated; -D VMM_EMULATED_ROOMS="virtio;payload" builds others.
set(VMM_EMULATED_ROOMS
  kvm machine            # code of the architecture
  base bus rings_in_ram  # order between threads, and between the guest and us
  config aarch64         # char has no sign there
  CACHE STRING "Rooms whose tests are built for another machine")

set(not_emulated
  *DeathTest.* MessageWriterFileTest.LineThatWasBegunIsFinishedAndTheLostAreCounted  # start the test program again
  ScatteredViewTest.* *InPieces* Pieces/*                     # map the same pages twice (mremap)
  WorkerDeskTest.RefusalIsAnsweredAndTheNextDriverTriesAgain  # need a host that refuses threads
  PasstTest.*Limits* GuestRamTest.*                           # look at this process's memory and limits
  ValidateTest.DebugExitKeepsOffThePortsOfOthers)             # is about a PC's ports

set(VMM_EMULATION ${CMAKE_CURRENT_LIST_DIR}/calls.cpp)
list(JOIN not_emulated ":" patterns)
set(VMM_EMULATION_FILTER "GTEST_FILTER=-${patterns}")
