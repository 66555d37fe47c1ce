// SPDX-License-Identifier: Apache-2.0

import Subprocess
import Testing

extension RealGuest {
    /// Guests that are damaged at random, and are whole again afterwards.
    @Suite struct ScoredGuest {
        /// Nothing is missed that nothing explains, with a list and without one, in either byte order.
        @Test(.long, arguments: [("6.1", "POWER8"), ("6.12-4k", "POWER9"), ("6.1-be", "POWER9")])
        func nothingIsMissedUnexplained(kernel: String, cpu: String) async throws {
            let ending = try await HarnessProcess.start(
                ["score", "--damages", "300", "--seed", "5", "--kernel", kernel, "--cpu", cpu, "--slowdown", "4"])
            #expect(ending.status == .exited(0), "\(ending.errors)\(ending.output)")
            #expect(ending.output.contains("300 damages (seed 5) to 1 guests: "))
        }
    }
}
