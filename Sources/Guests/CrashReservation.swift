// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics

/// The memory that a kernel has reserved for its crash kernel (`crashkernel=`).
package struct CrashReservation: Equatable, Sendable {
    /// Physical addresses.
    package let range: Range<UInt64>

    /// Where kexec-tools reads it as well: the kernel adds it to its device tree (`export_crashk_values`,
    /// arch/powerpc/kexec/core.c).
    private static let folder = "/proc/device-tree/chosen/linux,crashkernel-"

    /// Asks a guest's agent; throws an infrastructure error when the guest has no reservation that could be one.
    init(askedOf agent: AgentClient) async throws {
        func property(_ name: String) async throws -> UInt64 {
            guard case .read(let content, true) = try await agent.perform(.read(Self.folder + name)), content.count == 8
            else {
                throw HarnessError.infrastructure("the guest's device tree has no \(Self.folder)\(name) of 8 bytes")
            }
            // Device trees are big-endian.
            return ByteOrder.big.number(in: content, at: 0, byteCount: 8)
        }
        let (base, byteCount) = (try await property("base"), try await property("size"))
        guard byteCount > 0, byteCount <= LinearMap.byteCount, base <= LinearMap.byteCount - byteCount else {
            throw HarnessError.infrastructure(
                "the guest has reserved \(byteCount.hexadecimal) bytes at \(base.hexadecimal) for its crash kernel, which are "
                    + "not in \(LinearMap.byteCount.hexadecimal)")
        }
        range = base..<base + byteCount
    }
}

extension AgentClient {
    /// log2 of the hashed page table in bytes as the kernel has it now (debugfs powerpc/hpt_order); nil where it does not
    /// say that.
    func hashTableOrder() async throws -> UInt64? {
        guard case .read(let content, _) = try await perform(.read("/sys/kernel/debug/powerpc/hpt_order")) else {
            return nil
        }
        return UInt64(String(decoding: content.prefix { $0 != 0x0a }, as: UTF8.self))
    }
}
