// SPDX-License-Identifier: Apache-2.0

import HarnessBasics

/// What a cell's guest takes of the machine while it runs.
package struct CellDemand: Equatable, Sendable {
    /// Memory at most: the guest's, what it shares, and QEMU's own.
    package var memoryByteCount: UInt64
    /// Virtual CPUs, each of which keeps a core busy.
    package var cpuCount: Int

    /// What QEMU, libvirt and the harness take beside the guest's memory.
    package static let overheadByteCount: UInt64 = 512 << 20

    /// The demand of a guest whose files of memory take so many bytes.
    package init(guestByteCount: UInt64, cpuCount: Int) {
        (memoryByteCount, self.cpuCount) = (guestByteCount + Self.overheadByteCount, cpuCount)
    }
}

/// How many guests a machine takes at once: their virtual CPUs together are as many as it has cores at most, and their
/// memory together fits into what was free when the matrix began. One guest always runs: whether there is room for it, its
/// own run says.
package struct MatrixCapacity: Equatable, Sendable {
    /// Cores, or as many as somebody has said.
    package var cpuCount: Int
    /// Memory that was free, in bytes.
    package var memoryByteCount: UInt64
    /// Where that is, in words.
    package var memoryPlace: String

    /// Collects what a machine has.
    package init(cpuCount: Int, memoryByteCount: UInt64, memoryPlace: String) {
        self.cpuCount = cpuCount
        self.memoryByteCount = memoryByteCount
        self.memoryPlace = memoryPlace
    }

    /// The rule, with this machine's numbers.
    package var text: String {
        let cpus = cpuCount == 1 ? "1 virtual CPU" : "\(cpuCount) virtual CPUs"
        return "guests run at once as long as they have \(cpus) at most, and fit into the "
            + "\(ByteCount(memoryByteCount).gibibytes(rounded: .down)) that \(memoryPlace), "
            + "\(ByteCount(CellDemand.overheadByteCount).text) each for QEMU"
    }

    /// Whether there is room for one more beside those that run.
    func hasRoom(for demand: CellDemand, beside running: some Collection<CellDemand>) -> Bool {
        guard !running.isEmpty else { return true }
        let cpus = running.reduce(demand.cpuCount) { $0 + $1.cpuCount }
        let memory = running.reduce(demand.memoryByteCount) { $0 + $1.memoryByteCount }
        return cpus <= cpuCount && memory <= memoryByteCount
    }
}
