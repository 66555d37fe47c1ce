// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plans
import Testing

@testable import Exploration

@Suite struct HistoryGeneratorTests {
    private static let subjects = [
        Subject(kernel: "6.1", cpu: "POWER8"), Subject(kernel: "/boot/vmlinux-6.12", cpu: "POWER9"),
        Subject(kernel: "6.12-4k", cpu: "POWER10"),
    ]

    /// A hundred each time, a thousand with the long tests.
    private static let seedCount: UInt64 =
        ProcessInfo.processInfo.environment["QEMU_HARNESS_ALL_TESTS"] == nil ? 100 : 1000

    private static func generator(
        seed: UInt64, changes: Int = 16, hasAllocationFailures: Bool = false
    ) -> HistoryGenerator {
        HistoryGenerator(
            seed: seed, subjects: subjects, changeCount: changes, hasAllocationFailures: hasAllocationFailures)
    }

    @Test(.timeLimit(.minutes(5)), arguments: [false, true])
    func everyHistoryIsAPlanWithinItsBounds(hasAllocationFailures: Bool) throws {
        var seen: Set<String> = []
        for seed: UInt64 in 0..<Self.seedCount {
            let number = Int(seed % 7) + 1
            let plan = Self.generator(seed: seed, hasAllocationFailures: hasAllocationFailures).plan(number: number)
            // What is written is read as the same plan, and no block is probed where there is none.
            try #require(plan.checked == plan, "seed \(seed)")
            let machine = try Plan.Machine(for: plan)
            #expect(machine.mostPluggedMemory <= HistoryRoom.plugged)
            #expect(machine.maximumMemory == plan.guest.maximumMemory && machine.slots == PlanLimits.slots)
            #expect(plan.steps.count(where: \.isVerification) == 17)
            // A load has room in the boot memory.
            for case .guest(.load(let byteCount)) in plan.steps {
                #expect(byteCount >= 32 << 20 && byteCount * 8 <= (plan.guest.memory ?? 0) * 3)
            }
            seen.formUnion(plan.steps.map(\.kind))
        }
        let always: Set = [
            "verify", "all", "plug", "unplug", "wait", "reboot", "expect", "release", "online", "offline",
        ]
        let others: Set = hasAllocationFailures ? ["leave-free"] : ["hold", "dlpar", "probe", "load", "end-load"]
        #expect(seen == always.union(others))
    }

    /// Whatever unplugs come to, there is a slot and a place for each DIMM.
    @Test func nothingHasToBeUnplugged() throws {
        for seed: UInt64 in 0..<200 {
            var plan = Self.generator(seed: seed, changes: HistoryGenerator.changeLimit).plan(number: 1)
            plan.steps.removeAll { if case .unplug = $0 { true } else { false } }
            #expect(plan.steps.count <= PlanLimits.stepCount)
            let machine = try Plan.Machine(for: plan)
            #expect(machine.slots == PlanLimits.slots && machine.maximumMemory == plan.guest.maximumMemory)
        }
    }

    @Test func theSameSeedMakesTheSameHistories() {
        for number in 1...20 {
            #expect(Self.generator(seed: 7).plan(number: number) == Self.generator(seed: 7).plan(number: number))
        }
        let plans = (1...20).map { Self.generator(seed: 7).plan(number: $0).steps }
        let others = (1...20).map { Self.generator(seed: 8).plan(number: $0).steps }
        #expect(
            (plans + others).indices.allSatisfy { index in
                (plans + others).firstIndex(of: (plans + others)[index]) == index
            })
    }

    @Test func subjectsTakeTurns() {
        let generator = Self.generator(seed: 1)
        #expect((1...6).map { generator.subject(of: $0) } == Self.subjects + Self.subjects)
        #expect(generator.plan(number: 3).guest.cpu == "POWER10")
        #expect(generator.plan(number: 5).guest.kernel == "/boot/vmlinux-6.12")
    }

    /// Each change is verified before the next one, and nothing but an expectation stands between.
    @Test func eachChangeIsVerified() {
        for seed: UInt64 in 0..<200 {
            let plan = Self.generator(seed: seed, hasAllocationFailures: seed % 2 == 1).plan(number: 1)
            #expect(plan.steps.first == .verify && plan.steps.last?.isVerification == true)
            for (piece, next) in zip(plan.pieces, plan.pieces.dropFirst()) {
                #expect(piece.first?.isVerification != next.first?.isVerification, "seed \(seed)")
            }
        }
    }

    /// An unplug of a DIMM that has lost an LMB has no end, nor has one of a DIMM that the guest has refused.
    @Test func noUnplugIsAskedForThatHasNoEnd() {
        for seed: UInt64 in 0..<2 * Self.seedCount {
            let plan = Self.generator(seed: seed, changes: 40, hasAllocationFailures: seed % 2 == 1).plan(number: 1)
            var (isShort, count) = (false, 0)
            var (doubtful, torn): (Set<Int>, Set<Int>) = ([], [])
            let places = (try? Plan.Machine(for: plan))?.places ?? []
            for step in plan.steps {
                switch step {
                case .plug:
                    count += 1
                    if isShort { doubtful.insert(count) }
                case .guest(.leaveFree): isShort = true
                case .guest(.release): isShort = false
                case .reboot: (isShort, torn) = (false, [])
                case .guest(.dlpar(let line)) where line.contains("remove index 0x8000"):
                    let block = UInt64(line.suffix(4).trimmingPrefix("0x"), radix: 16) ?? 0
                    torn.formUnion((1...count).filter { places[$0 - 1].contains(block << 28) })
                case .guest(.dlpar(let line)) where line.contains("remove count"): torn.formUnion(1...count)
                case .unplug(.number(let number)):
                    #expect(!doubtful.contains(number) && !torn.contains(number), "seed \(seed)")
                default: break
                }
            }
        }
    }
}

extension Plan.Step {
    fileprivate var isVerification: Bool { self == .verify || self == .verifyAllStructPages }

    fileprivate var kind: String {
        switch self {
        case .verify: "verify"
        case .verifyAllStructPages: "all"
        case .plug: "plug"
        case .unplug: "unplug"
        case .wait: "wait"
        case .reboot: "reboot"
        case .expect: "expect"
        case .guest(.release): "release"
        case .guest(.online): "online"
        case .guest(.offline): "offline"
        case .guest(.leaveFree): "leave-free"
        case .guest(.hold): "hold"
        case .guest(.load): "load"
        case .guest(.endLoad): "end-load"
        case .guest(.dlpar): "dlpar"
        case .guest(.probe): "probe"
        default: "another"
        }
    }
}
