// SPDX-License-Identifier: Apache-2.0

import GuestMemory

@testable import AgentProtocol
@testable import Guests
@testable import HotplugAgent

extension Harness {
    /// What harness and agent read by lines.
    static let agentLines = [
        Harness("control", byteLimit: 2200) { bytes in
            if let line = ControlLine(parsing: bytes[...]) {
                let encoded = line.encoded
                require(encoded.last == 0x0a, "a line ends")
                require(
                    ControlLine(parsing: encoded.dropLast()[...]) == line
                        || encoded.count > ControlLine.maximumByteCount, "a line comes back")
                _ = try? Hello(line)
                _ = try? CaptureHello(line)
                _ = try? DumpAnswer(line)
                if let end = ProgramEnd(line) {
                    let again = end.describe(in: ControlLine(identifier: 1, verb: "ok"))
                    require(ProgramEnd(again) == end, "an end comes back")
                }
            }
            let carried = ControlLine(identifier: 7, verb: "ok").with("text", encoding: bytes)
            require(carried.bytes("text") == bytes, "any bytes come back")
            if let trials = SourceTrial.parse(bytes[...]) {
                require(SourceTrial.parse(SourceTrial.encode(trials)[...]) == trials, "trials come back")
            }
            var inbox = AgentInbox()
            for identifier: UInt64 in 1...4 { inbox.expect(identifier) }
            inbox.take(bytes)
            inbox.take([0x0a])
            for identifier: UInt64 in 1...4 {
                if let answer = inbox.takeAnswer(to: identifier) {
                    require(answer.identifier == identifier, "an answer is to its request")
                }
            }
            while let announcement = inbox.takeAnnouncement() { require(announcement.identifier == 0, "nobody asked") }
            _ = inbox.complaint
        },
        Harness("events", byteLimit: 512) { bytes in
            var input = Input(bytes)
            while !input.isEmpty {
                let record = RingRecord(
                    sequence: 1, kind: UInt64(input.byte() % 20), microseconds: 0,
                    operands: [
                        input.word(near: []), input.word(near: []), input.word(near: []), input.word(near: []),
                    ])
                guard let event = AgentEvent(record) else { continue }
                let (kind, operands) = event.encoded
                require(kind == record.kind, "an event keeps its kind")
                let again = RingRecord(sequence: 1, kind: kind, microseconds: 0, operands: operands)
                require(AgentEvent(again) == event, "an event comes back")
                _ = event.text
            }
            let line = bytes.filter { $0 != 0 && $0 != 0x0a }
            require(AgentEvent.texts(of: line).flatMap(\.text) == line + [0x0a], "a fault's line comes back")
        },
        Harness("log", byteLimit: 4096) { bytes in
            var faults = FaultLog()
            for line in bytes.split(separator: 0x0a) {
                _ = KernelMessage(parsing: line)
                _ = KernelLog<InputSystem>.isEnabledMessage(line)
                guard let record = KernelRecord(parsing: Array(line)) else { continue }
                if case .marker = record.message { require(!record.isKernels, "a mark is not the kernel's") }
                for event in faults.take(record) {
                    if case .kernelFault(_, let count) = event { require(count == 1, "a fault is told once") }
                }
            }
            _ = faults.takeUntold()
            var reader = KernelFaultReader()
            for line in bytes.split(separator: 0x0a, omittingEmptySubsequences: false) {
                guard case .began(_, let lines) = reader.take(line) else { continue }
                require(
                    !lines.isEmpty && lines.count <= KernelFaultReader.lineLimit
                        && lines.allSatisfy { $0.count <= KernelFaultReader.lineByteCount },
                    "of a report so much is told")
            }
        },
        Harness("trace", byteLimit: 4096) { bytes in
            var assembler = ProbeAssembler()
            for line in bytes.split(separator: 0x0a) {
                _ = ProbeEvent(parsing: line)
                guard let hit = ProbeHit(parsing: line) else { continue }
                if case .populated(let call) = assembler.take(hit.event, task: hit.task, microseconds: hit.microseconds)
                {
                    require(call.unusedBlocks.count <= call.allocations.count, "no more is unused than was asked for")
                }
            }
            assembler.reset()
            require(!assembler.hasOpenCalls, "nothing is under way")
        },
    ]
}
