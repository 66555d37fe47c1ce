// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import KernelState
import MemoryBackends
import Verification

/// The nodes that a dead kernel's list does not have, as far as its dump has them: what that lacks is no damage.
struct FreeNodesInDump {
    /// What there is to judge; nil where it is not all there.
    private(set) var nodes: FreeNodes?
    /// Why nothing is said of them although the kernel's file tells where they are.
    private(set) var unsaid: [Unsaid] = []
    /// Why nobody can judge them.
    private(set) var unjudged: String?

    /// Takes over what was read, unless it ends where the dump does.
    init(_ state: KernelState, _ kernel: Kernel, _ dump: DumpMemory, hasImage: Bool) {
        guard let read = state.freeNodes else {
            unjudged = "which nodes are free: " + Self.lack(kernel, hasImage: hasImage)
            return
        }
        guard read.freed.count < read.freedCount, let place = LinearMap.physical(read.unused), !dump.holds(place),
            state.sections.contains(where: { $0.number == place.rawValue >> kernel.layout.sectionSizeBits })
        else {
            nodes = read
            return
        }
        unsaid = [
            Unsaid(
                .kernelList, count: read.freedCount - read.freed.count,
                "the free node \(read.unused.hexadecimal) is not in the dump, nor what it leads to")
        ]
    }

    private static func lack(_ kernel: Kernel, hasImage: Bool) -> String {
        guard kernel.freeNodes == nil else { return "next, num_left or num_freed is not in the dump" }
        guard hasImage else { return "only the kernel's file tells where it keeps that (--vmlinux)" }
        for (_, source) in kernel.symbols.suffix(FreeNodeAddresses.names.count) {
            if case .nowhere(let reason) = source { return String(decoding: reason, as: UTF8.self) }
        }
        return "the kernel's file does not tell where it keeps that"
    }
}
