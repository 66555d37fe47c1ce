// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Libvirt
import Plans
import Testing

@testable import qemu_harness

@Suite struct RunCommandTests {
    @Test func hasDefaults() throws {
        let command = try RunCommand.parse([])
        #expect(command.cpu == .power8)
        #expect(command.kernel == "6.1")
        #expect(command.memory == ByteCount(1 << 30))
        #expect(command.plug == [])
        #expect(command.append == "")
        #expect(command.vcpus == 1)
        #expect(command.runsDir == "runs")
        #expect(command.progress == .auto)
        #expect(command.slowdown == 1)
        #expect(!command.json && !command.keep && !command.dryRun)
    }

    @Test func readsEveryOption() throws {
        let command = try RunCommand.parse([
            "--cpu", "POWER9", "--kernel", "/boot/vmlinux", "--memory", "2GiB", "--plug", "256MiB", "--plug", "1GiB",
            "--append", "quiet slub_debug", "--vcpus", "4", "--runs-dir", "/tmp/r", "--json", "--progress", "none",
            "--slowdown", "2.5", "--keep", "--dry-run",
        ])
        #expect(command.cpu == .power9)
        #expect(command.kernel == "/boot/vmlinux")
        #expect(command.memory == ByteCount(2 << 30))
        #expect(command.plug == [ByteCount(256 << 20), ByteCount(1 << 30)])
        #expect(command.append == "quiet slub_debug")
        #expect(command.vcpus == 4)
        #expect(command.runsDir == "/tmp/r")
        #expect(command.progress == .none)
        #expect(command.slowdown == 2.5)
        #expect(command.json && command.keep && command.dryRun)
    }

    @Test(arguments: [
        (["--cpu", "POWER7"], "no CPU model 'POWER7'; there are POWER8, POWER9, POWER10"),
        (["--cpu", "power8"], "no CPU model 'power8'"), (["--memory", "1GB"], "1GB"), (["--memory=-1GiB"], "-1GiB"),
        (["--plug", "1"], "--plug"), (["--vcpus", "many"], "many"), (["--progress", "loud"], "loud"),
        (["--slowdown", "0"], "--slowdown 0.0 is outside 0.1 to 1000"),
        (["--slowdown", "0.09"], "--slowdown 0.09 is outside 0.1 to 1000"),
        (["--slowdown", "1000.1"], "--slowdown 1000.1 is outside 0.1 to 1000"),
        (["--slowdown", "nan"], "--slowdown nan is outside 0.1 to 1000"),
        (["--slowdown", "inf"], "--slowdown inf is outside 0.1 to 1000"),
        (["--append", "a\nb"], "--append holds the character U+000A, which a kernel's command line cannot have"),
        (["--append", "\u{1b}[2J"], "--append holds the character U+001B"), (["--nonsense"], "--nonsense"),
        (["plan.yaml"], "plan.yaml"),
    ])
    func refusesOtherArguments(arguments: [String], message: String) throws {
        let error = try #require(throws: (any Error).self) { try RunCommand.parse(arguments) }
        #expect(RunCommand.message(for: error).contains(message))
        #expect(RunCommand.exitCode(for: error).rawValue == ExitStatus.usage)
    }

    @Test(arguments: ["0.1", "1000"]) func takesTheLimitsOfSlowdown(factor: String) throws {
        #expect(try RunCommand.parse(["--slowdown", factor]).slowdown == Double(factor))
    }

    @Test func stretchesEveryLimit() {
        let (plain, slow) = (Patience(factor: 1), Patience(factor: 2.5))
        for limit in [\Patience.boot, \.answer, \.plug, \.powerOff] {
            #expect(slow[keyPath: limit] == plain[keyPath: limit] * 2.5)
        }
    }
}

@Suite struct WaitTests {
    @Test func looksOnceWhenThereIsNoTime() async throws {
        var count = 0
        let value = try await waitUntil(within: .zero) { () -> Int? in
            count += 1
            return nil
        }
        #expect(value == nil)
        #expect(count == 1)
    }

    @Test func givesTheFirstValue() async throws {
        var count = 0
        let value = try await waitUntil(within: .seconds(1000)) { () -> Int? in
            count += 1
            return count == 3 ? 7 : nil
        }
        #expect(value == 7)
        #expect(count == 3)
    }

    @Test func passesErrorsOn() async {
        await #expect(throws: HarnessError.infrastructure("gone")) {
            try await waitUntil(within: .seconds(1000)) { () -> Int? in throw HarnessError.infrastructure("gone") }
        }
    }

    @Test func endsWhenItIsCancelled() async {
        let waiting = Task { try await waitUntil(within: .seconds(1000)) { () -> Int? in nil } }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }
}
