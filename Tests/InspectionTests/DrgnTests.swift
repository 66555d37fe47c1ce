// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import Testing

/// drgn (0.3.0 or newer) walks page tables with code of its own: where an address of the memory map leads, it says as well.
///
/// It needs VMCOREINFO to tell the MMU, which 6.1 does not, and takes radix alone.
@Suite struct DrgnTests {
    static let program = """
        import sys
        from drgn import FaultError, Program
        program = Program()
        program.set_core_dump(sys.argv[1])
        for line in open(sys.argv[2]):
            address = int(line.split()[0].partition(":")[2], 16)
            try:
                program.read(address, 1)
                print("read")
            except FaultError as error:
                # A reduced dump lacks the page itself; the fault has its physical address.
                print(hex(error.address) if "physical" in str(error) else error)
        """

    private static func python(_ arguments: [String]) async throws -> String? {
        let result = try await Subprocess.run(
            .name("python3"), arguments: .init(arguments), output: .string(limit: 1 << 20),
            error: .string(limit: 1 << 16))
        return result.terminationStatus.isSuccess ? result.standardOutput : nil
    }

    static func hasDrgn() async -> Bool { (try? await python(["-c", "import drgn"])) != nil }

    @Test(
        .enabled("needs drgn for the python3 on PATH (pip install drgn)") { await DrgnTests.hasDrgn() },
        arguments: Fixture.all.filter { !$0.hasList })
    func itTranslatesTheSame(fixture: Fixture) async throws {
        let name = "sys-xlat-linux-ppc64-\(fixture.name).expect"
        let output = try #require(
            try await Self.python(
                ["-c", Self.program, fixture.dump.path, Fixture.file("\(fixture.name)/\(name)").path]))
        let phys = try fixture.lines(name).compactMap { $0.split(separator: ":").last.map(String.init) }
        #expect(!phys.isEmpty)
        #expect(output.split(separator: "\n").map(String.init) == phys)
    }
}
