// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import MemoryBackends
import RunFixture
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Verification

@testable import Guests
@testable import Libvirt

/// QEMU's reading of the memory map, with a machine that translates as a test has it.
@Suite struct MemoryMapReaderTests {
    static let base: UInt64 = 0xc00c_0000_0000_0000
    static let window: UInt64 = 65536
    /// How many windows there are. The block of each is where the number of the window, times 64 KiB, and 1 MiB says.
    static let windowCount: UInt64 = 6

    static func phys(_ window: UInt64) -> UInt64 { 1 << 20 + window * Self.window }
    static func page(_ window: UInt64, _ page: UInt64) -> UInt64 { base + window * Self.window + page * 4096 }

    static let windows = (0..<windowCount).map {
        BackedWindow(place: 0, virtAddr: base + $0 * window, phys: phys($0), byteCount: window)
    }

    /// QEMU, as far as it is asked here: what it translates, and what it does to its file.
    final class Machine: GuestDomain {
        enum Trouble: Equatable {
            case none, refusesAll, writesLess, writesNothing, spoilsOneByte, diesAtSecondCommand, cancelsAtSecondCommand
        }

        let memory: GuestRAM
        private let pages: [UInt64: UInt64]
        private let trouble: Trouble
        let saves = Mutex<[Range<UInt64>]>([])
        let questions = Mutex<[UInt64]>([])

        init(_ memory: GuestRAM, pages: [UInt64: UInt64], trouble: Trouble) {
            (self.memory, self.pages, self.trouble) = (memory, pages, trouble)
        }

        private func phys(_ virtAddr: UInt64) -> UInt64? {
            pages[virtAddr.alignedDown(to: 4096)].map { $0 + virtAddr % 4096 }
        }

        func monitor(hmp: String) async throws -> String {
            let address = try #require(UInt64(hexadecimal: hmp.dropFirst("gva2gpa ".count)))
            questions.withLock { $0.append(address) }
            return phys(address).map { "gpa: \($0.hexadecimal)\r\n" } ?? "Unmapped\r\n"
        }

        func monitor(qmp: String) async throws -> String {
            struct Command: Decodable {
                struct Arguments: Decodable {
                    let val: Int64
                    let size: UInt64
                    let filename: String
                }
                let execute: String
                let arguments: Arguments
            }
            let command = try JSONDecoder().decode(Command.self, from: Data(qmp.utf8))
            #expect(command.execute == "memsave")
            let start = UInt64(bitPattern: command.arguments.val)
            let count = saves.withLock { saves in
                saves.append(start..<start + command.arguments.size)
                return saves.count
            }
            switch trouble {
            case .refusesAll: return #"{"error": {"desc": "Could not open '/x': Permission denied"}}"#
            case .diesAtSecondCommand where count == 2:
                throw LibvirtError(code: 55, domain: 10, message: "gone", call: "virDomainQemuMonitorCommand")
            case .cancelsAtSecondCommand where count == 2: withUnsafeCurrentTask { $0?.cancel() }
            default: break
            }
            var bytes: [UInt8] = []
            for virtAddr in stride(from: start, to: start + command.arguments.size, by: 4096) {
                guard let phys = phys(virtAddr) else {
                    return #"{"error": {"desc": "Invalid addr 0xc00c000000000000/size 4096 specified"}}"#
                }
                bytes += MemoryMapReaderTests.bytes(of: memory, at: phys, byteCount: 4096)
            }
            if trouble == .spoilsOneByte { bytes[5 * 4096 + 100] ^= 1 }
            if trouble == .writesLess { bytes.removeLast(8) }
            if trouble != .writesNothing { try Data(bytes).write(to: URL(filePath: command.arguments.filename)) }
            return #"{"return": {}, "id": "libvirt-7"}"#
        }

        private struct NotAsked: Error {}
        func events() async throws -> AsyncStream<DomainEvent> { throw NotAsked() }
        func exit() async throws -> QemuProcess.ExitStatus { throw NotAsked() }
        func kill() throws { throw NotAsked() }
        func destroy() async throws { throw NotAsked() }
        func isKnown() async -> Bool { true }
        func live() async throws -> LiveDomain { throw NotAsked() }
        func memoryFiles(of live: LiveDomain) async throws -> MemoryFiles { throw NotAsked() }
        func attach(_ dimm: MemoryDevice) async throws { throw NotAsked() }
        func detach(alias: String) async throws { throw NotAsked() }
        func suspend() async throws { throw NotAsked() }
        func resume() async throws { throw NotAsked() }
        func injectNMI() async throws { throw NotAsked() }
        func setRebootAction(_ action: RebootAction) async throws { throw NotAsked() }
        func qemuVersion() async throws -> String { throw NotAsked() }
    }

    static func bytes(of memory: GuestRAM, at phys: UInt64, byteCount: Int) -> [UInt8] {
        stride(from: phys, to: phys + UInt64(byteCount), by: 8).flatMap { address in
            let word = (try? memory.storedWord(at: PhysicalAddress(address))) ?? 0
            return withUnsafeBytes(of: word) { Array($0) }
        }
    }

    private let folder: TemporaryFolder
    private let memory: GuestRAM

    init() throws {
        folder = try TemporaryFolder()
        // All blocks have the same content: without stamps nobody could tell them apart.
        let path = FilePath(try folder.write([UInt8](repeating: 0x5a, count: 2 << 20), to: "ram-node0"))
        memory = GuestRAM([
            GuestRAM.Region(name: "boot", base: PhysicalAddress(0), file: try MappedFile(path, byteCount: 2 << 20))
        ])
    }

    /// Translates as the account says, but for what a test changes.
    private func machine(
        _ trouble: Machine.Trouble = .none, _ change: (inout [UInt64: UInt64]) -> Void = { _ in }
    ) -> Machine {
        var pages: [UInt64: UInt64] = [:]
        for window in Self.windows {
            for offset in stride(from: 0, to: Self.window, by: 4096) {
                pages[window.virtAddr + offset] = window.phys + offset
            }
        }
        change(&pages)
        return Machine(memory, pages: pages, trouble: trouble)
    }

    private func reader(_ machine: Machine, byteLimit: UInt64 = 32 << 20) -> MemoryMapReader {
        MemoryMapReader(domain: machine, memory: memory, byteLimit: byteLimit)
    }

    private func isAsItWas() throws -> Bool {
        try Data(contentsOf: URL(filePath: folder.path("ram-node0"))) == Data(repeating: 0x5a, count: 2 << 20)
            && folder.names() == ["ram-node0"]
    }

    private static func run(_ virtAddr: UInt64, _ phys: UInt64, _ pageCount: UInt64) -> ReadBack.Run {
        ReadBack.Run(virtAddr: virtAddr, phys: phys, byteCount: pageCount * 4096)
    }

    @Test func allIsReadAtOnce() async throws {
        let machine = machine()
        let result = try await reader(machine).read(Self.windows.reversed())
        #expect(result.readBack.runs == [Self.run(Self.base, Self.phys(0), 96)])
        #expect(result.readBack.stamped == [.init(base: Self.phys(0), byteCount: 6 * Self.window)])
        #expect(!result.readBack.isCutShort)
        #expect(result.translations == [])
        #expect(machine.saves.withLock { $0 } == [Self.base..<Self.base + 6 * Self.window])
        #expect(machine.questions.withLock { $0 } == [])
        #expect(try isAsItWas())
    }

    @Test(arguments: [4096, 65536, 131072, 200_704] as [UInt64]) func noMoreThanTheLimitAtOnce(limit: UInt64)
        async throws
    {
        let machine = machine()
        let result = try await reader(machine, byteLimit: limit).read(Self.windows)
        #expect(result.readBack.runs == [Self.run(Self.base, Self.phys(0), 96)])
        let saves = machine.saves.withLock { $0 }
        #expect(saves.allSatisfy { $0.upperBound - $0.lowerBound <= limit })
        #expect(saves.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) } == 6 * Self.window)
        #expect(try isAsItWas())
    }

    /// What a machine translates otherwise, and what is found out.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout [UInt64: UInt64]) -> Void
        let runs: [ReadBack.Run]
        let translations: [Translation]
    }

    static let cases = [
        Case(
            testDescription: "two blocks of the same content change places",
            change: { pages in
                for page in 0..<UInt64(16) {
                    pages[Self.page(1, page)] = phys(2) + page * 4096
                    pages[Self.page(2, page)] = phys(1) + page * 4096
                }
            },
            runs: [
                run(base, phys(0), 16), run(page(1, 0), phys(2), 16), run(page(2, 0), phys(1), 16),
                run(page(3, 0), phys(3), 48),
            ], translations: []),
        Case(
            testDescription: "one page in the middle of a block leads to its neighbour",
            change: { $0[page(3, 7)] = phys(3) + 8 * 4096 },
            runs: [
                run(base, phys(0), 55), run(page(3, 7), phys(3) + 8 * 4096, 1), run(page(3, 8), phys(3) + 8 * 4096, 40),
            ], translations: []),
        Case(
            testDescription: "one page leads to memory that no block has",
            change: { $0[page(0, 2)] = 0x8000 },
            runs: [run(base, phys(0), 2), run(page(0, 3), phys(0) + 3 * 4096, 93)],
            translations: [Translation(virtAddr: page(0, 2), answer: .physical(0x8000))]),
        Case(
            testDescription: "a window in the middle is not mapped",
            change: { pages in for page in 0..<UInt64(16) { pages[Self.page(2, page)] = nil } },
            runs: [run(base, phys(0), 32), run(page(3, 0), phys(3), 48)],
            translations: [
                Translation(virtAddr: page(2, 0), answer: .unmapped),
                Translation(virtAddr: page(2, 15), answer: .unmapped),
            ]),
        Case(
            testDescription: "one page of a window is not mapped",
            change: { $0[page(4, 5)] = nil },
            runs: [run(base, phys(0), 69), run(page(4, 6), phys(4) + 6 * 4096, 26)],
            translations: [Translation(virtAddr: page(4, 5), answer: .unmapped)]),
        Case(
            testDescription: "nothing is mapped", change: { $0 = [:] }, runs: [],
            translations: (0..<windowCount).flatMap { window in
                [0, 15].map { Translation(virtAddr: page(window, $0), answer: .unmapped) }
            }),
    ]

    @Test(arguments: cases) func whatDiffersIsFoundOut(wrong: Case) async throws {
        let result = try await reader(machine(.none, wrong.change)).read(Self.windows)
        #expect(result.readBack.runs == wrong.runs)
        #expect(result.translations == wrong.translations)
        #expect(try isAsItWas())
    }

    @Test func halvingIsQuick() async throws {
        let machine = machine { pages in for page in 0..<UInt64(16) { pages[Self.page(2, page)] = nil } }
        _ = try await reader(machine).read(Self.windows)
        #expect(machine.saves.withLock { $0.count } <= 7)
        #expect(machine.questions.withLock { $0 } == [Self.page(2, 0), Self.page(2, 15)])
    }

    /// A page that has the right stamp and another byte is no agreement.
    @Test func aSpoiltByteIsNoAgreement() async throws {
        let result = try await reader(machine(.spoilsOneByte)).read(Self.windows)
        let (page, phys) = (Self.page(0, 6), Self.phys(0) + 6 * 4096)
        #expect(result.readBack.runs == [Self.run(Self.base, Self.phys(0), 5), Self.run(page, phys, 90)])
        #expect(
            result.translations == [
                Translation(
                    virtAddr: Self.page(0, 5),
                    answer: .cannotSay("qemu reads other bytes there than guest RAM has at 0x105000"))
            ])
        #expect(try isAsItWas())
    }

    /// Where QEMU cannot be had to read memory, nothing is known, and nothing is left.
    @Test(
        arguments: [
            (.refusesAll, "qemu refuses 'memsave': Could not open '/x': Permission denied"),
            (.writesLess, "what qemu wrote of it cannot be read"),
            (.writesNothing, "what qemu wrote of it cannot be read"),
        ] as [(Machine.Trouble, String)]) func aReadingThatFails(trouble: Machine.Trouble, reason: String) async throws
    {
        // What an earlier one left is not taken for it.
        try folder.write([UInt8](repeating: 0x5a, count: 6 * 65536), to: "memory-map")
        let problem = await #expect(throws: MemoryMapProblem.self) {
            _ = try await reader(machine(trouble)).read(Self.windows)
        }
        #expect(problem?.description.hasPrefix(reason) == true, "\(String(describing: problem))")
        #expect(try isAsItWas())
    }

    @Test func aMachineThatDiesLeavesNoStamps() async throws {
        await #expect(throws: LibvirtError.self) {
            _ = try await reader(machine(.diesAtSecondCommand), byteLimit: 65536).read(Self.windows)
        }
        #expect(try isAsItWas())
    }

    @Test func aRunThatIsCancelledLeavesNoStamps() async throws {
        let (reader, windows) = (reader(machine(.cancelsAtSecondCommand), byteLimit: 65536), Self.windows)
        let task = Task { _ = try await reader.read(windows) }
        let result = await task.result
        #expect(throws: CancellationError.self) { try result.get() }
        #expect(try isAsItWas())
    }

    /// What is no whole pages of memory is asked about, and not stamped.
    @Test func whatHasNoMemoryIsAskedAbout() async throws {
        let machine = machine()
        var windows = Self.windows
        windows[0].phys = 1 << 40
        windows[1].phys += 8
        windows[2].phys = .max
        windows[3].phys = (2 << 20) - 4096
        windows[4].byteCount = 0
        let result = try await reader(machine).read(windows)
        #expect(result.readBack.runs == [Self.run(Self.page(5, 0), Self.phys(5), 16)])
        #expect(result.readBack.stamped == [.init(base: Self.phys(5), byteCount: Self.window)])
        #expect(
            result.translations
                == (0..<4).flatMap { window in
                    [0, 15].map {
                        Translation(virtAddr: Self.page(window, $0), answer: .physical(Self.phys(window) + $0 * 4096))
                    }
                })
        #expect(try isAsItWas())
    }

    /// Two entries for one window, and two that overlap: each address is read once.
    @Test func anAddressIsReadOnce() async throws {
        var windows = Self.windows
        windows[1] = windows[0]
        windows[3].virtAddr = windows[2].virtAddr + 4096
        let machine = machine { $0[Self.page(3, 0)] = Self.phys(3) }
        let result = try await reader(machine).read(windows)
        let saved = machine.saves.withLock { $0 }
        #expect(zip(saved, saved.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
        #expect(result.readBack.runs.reduce(0) { $0 + $1.byteCount } == 4 * Self.window + 4096)
        #expect(try isAsItWas())
    }

    @Test func questionsHaveALimit() async throws {
        let machine = machine { $0 = [:] }
        var reader = reader(machine)
        reader.questionLimit = 9
        let result = try await reader.read(Self.windows)
        #expect(result.readBack.isCutShort)
        #expect(machine.questions.withLock { $0.count } + machine.saves.withLock { $0.count } <= 11)
        #expect(try isAsItWas())
    }
}
