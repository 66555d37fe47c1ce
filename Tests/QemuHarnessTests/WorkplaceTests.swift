// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import qemu_harness

/// Whether a run may begin.
@Suite struct WorkplaceTests {
    @Test(
        arguments: [
            (UInt64(2 << 30), UInt64(2 << 30), nil), (2 << 30, nil, nil), (0, 0, nil), (.max, .max, nil),
            (2 << 30 + 4 << 20, 1 << 30, ("2052 MiB", "1 GiB")), (1, 0, ("1 bytes", "0 bytes")),
        ] as [(UInt64, UInt64?, (String, String)?)])
    func memoryThatDoesNotFitIsRefused(need: UInt64, free: UInt64?, numbers: (String, String)?) {
        guard let numbers else {
            #expect(throws: Never.self) { try Workplace.check(need: need, free: free) }
            return
        }
        let error = #expect(throws: HarnessError.self) { try Workplace.check(need: need, free: free) }
        #expect(
            error
                == .infrastructure(
                    "the guest's memory, its plugs and the shared region take up to \(numbers.0), and /dev/shm has "
                        + "\(numbers.1) free: plug less, or make room there"))
    }
}
