// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import KernelState
import VmemmapPopulate

@testable import HotplugAgent

extension Harness {
    /// What the agent reads in the files of its kernel.
    static let agentFiles = [
        Harness("proc", byteLimit: 4096) { bytes in
            let system = InputSystem(bytes)
            for (_, address) in Kallsyms.addresses(of: Vmcoreinfo.symbolNames, system: system) { _ = address }
            _ = Meminfo.byteCount("MemFree:", system: system)
            _ = Zoneinfo.freeKernelByteCount(system: system)
            _ = HotplugAgent.MemoryBlocks.byteCount(system: system)
            _ = HotplugAgent.MemoryBlocks.all(system: system)
        },
        Harness("kcore", byteLimit: 8192) { bytes in
            let system = InputSystem(bytes)
            for subject in [CoreFile<InputSystem>.Subject.running, .dead] {
                guard let file = CoreFile(subject, system: system) else { continue }
                _ = file.extent
                _ = file.memory
                _ = file.vmcoreinfo
                for address: UInt64 in [LinearMap.base, LinearMap.base + 8, 0, .max - 7] {
                    _ = try? file.word(at: address)
                    _ = file.bytes(at: address, byteCount: 64)
                }
                let walk = ListWalk(head: LinearMap.base, in: file, pageByteCount: 4096, limit: 64)
                require(walk.entries.count <= 64, "a walk has a limit")
            }
        },
    ]
}

/// A system whose files all have the input's bytes, and on which nothing else works.
final class InputSystem: AgentSystem {
    private let content: [UInt8]
    private var position = 0

    init(_ content: [UInt8]) { self.content = content }

    func open(_ path: [UInt8], _ mode: OpenMode) -> Int? {
        position = 0
        return 3
    }

    func close(_ descriptor: Int) {}

    func read(_ descriptor: Int, byteCount: Int) -> ReadResult {
        defer { position = min(position + byteCount, content.count) }
        return piece(from: position, byteCount)
    }

    func read(_ descriptor: Int, at offset: UInt64, byteCount: Int) -> ReadResult {
        offset < UInt64(content.count) ? piece(from: Int(offset), byteCount) : .end
    }

    private func piece(from start: Int, _ byteCount: Int) -> ReadResult {
        let bytes = content.dropFirst(start).prefix(byteCount)
        return bytes.isEmpty ? .end : .bytes(Array(bytes))
    }

    func names(in folder: StaticString) -> [[UInt8]] { content.split(separator: 0x2f).map(Array.init) }

    var pageByteCount: UInt64 { 65536 }

    func take(from path: [UInt8], at offset: UInt64, byteCount: Int) -> ReadResult {
        read(3, at: offset, byteCount: byteCount)
    }

    func put(_ descriptor: Int, _ bytes: [UInt8]) -> UInt64 { 5 }
    func put(_ content: [UInt8], into path: [UInt8]) -> UInt64 { 5 }
    func makeRaw(_ descriptor: Int) {}
    func wait(for descriptors: [Int], milliseconds: Int) -> Bool { false }
    func map(_ descriptor: Int) -> MappedWords? { nil }
    func mount(_ type: StaticString, at target: StaticString) {}
    func makeFolder(_ path: StaticString) -> Bool { false }
    func removeFolder(_ path: StaticString) {}
    func microseconds() -> UInt64 { 0 }
    func powerOff() {}
    func restart() {}
    func start(_ arguments: [[UInt8]]) -> RunningProgram? { nil }
    func end(of program: Int, mayWait: Bool) -> ProgramEnd? { nil }
    func kill(_ program: Int) {}
    func allocateKernelBuffer(byteCount: UInt64) throws(ActionRefusal) -> KernelBuffer {
        throw ActionRefusal(errno: 12)
    }
    func free(_ buffer: KernelBuffer) {}
    func mapMemory(byteCount: UInt64) -> UInt64? { nil }
    func fill(_ address: UInt64, byteCount: UInt64) {}
    func discard(_ address: UInt64, byteCount: UInt64) {}
    func lowerPriority() {}
}
