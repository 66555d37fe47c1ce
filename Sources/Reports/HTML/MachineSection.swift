// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import RunRecord
import Verification

/// What was run, with what, and how to run it again.
struct MachineSection {
    let section: PageSection?

    private static let planLimit = 400

    init(_ run: RecordedRun) {
        guard let information = run.information else {
            section = nil
            return
        }
        let guest = information.guest
        func text(_ value: String?) -> HTML { HTML((value ?? "not known").prefix(4000)) }
        var items: [(HTML, HTML)] = [
            ("Kernel", text(guest.kernelRelease)), ("Its file", .code(guest.kernelPath.prefix(1000))),
            ("Its command line", .code(guest.kernelCommandLine.prefix(4000))),
            ("CPU", HTML("\(guest.cpu), \(guest.cpuCount.of("virtual CPU", "virtual CPUs"))")),
            ("MMU", text(guest.mmu.map { mmu in "\(mmu), as \(guest.mmuSource ?? "nobody") says" })),
            ("Byte order", text(guest.isBigEndian.map { $0 ? "big-endian" : "little-endian" })),
            ("Pages", text(guest.pageByteCount.map { ByteCount($0).text })),
            ("vmemmap pages", text(guest.vmemmapPageByteCount.map { ByteCount($0).text })),
            (
                "Memory",
                HTML(
                    "\(ByteCount(guest.bootMemoryByteCount).text) at boot, \(ByteCount(guest.maximumMemoryByteCount).text) at most"
                )
            ),
            ("Events from", text(guest.eventSource)),
            ("Witnesses", text(guest.witnesses?.map(\.rawValue).joined(separator: ", "))),
            ("qemu-harness", text(information.versions.harness)), ("libvirt", text(information.versions.libvirt)),
            (
                "QEMU",
                text(
                    [information.versions.qemu, information.versions.qemuPath].compactMap { $0 }.joined(separator: ", ")
                )
            ),
            ("Began", HTML(information.startedAt.formatted(.iso8601))),
            ("Ended", text(information.finishedAt?.formatted(.iso8601))),
            ("Exit code", text(information.exitCode.map { "\($0)" })),
            ("Record", .code(run.directory.lastPathComponent.prefix(400))),
        ]
        if let count = information.leftOutEventCount { items.append(("Events left out", "\(count)")) }
        if let count = information.leftOutConsoleByteCount {
            items.append(("Console left out", "about \(count) bytes"))
        }
        let command = information.commandLine.map(ResultTable.quoted).joined(separator: " ")
        var content: [HTML] = [
            HTML("dl", [.classes("facts-list")], items.map { .item($0.0, [$0.1]) }),
            HTML("h3", [], ["The command that repeats it"]),
            HTML("pre", [.attribute("tabindex", "0")], [HTML(command.prefix(8000))]),
        ]
        if let plan = run.plan, !plan.lines.isEmpty {
            let lines = plan.lines.prefix(Self.planLimit)
            let rest = plan.lines.count + plan.leftOutLineCount - lines.count
            content.append(
                .folded(
                    "The plan, as it was resolved",
                    [
                        HTML(
                            "pre", [.attribute("tabindex", "0")],
                            lines.flatMap { [HTML($0.prefix(1000)), HTML.lineEnd] }
                                + (rest > 0 ? ["… and \(rest) more lines in plan.yaml"] : []))
                    ]))
        }
        if let trials = guest.eventSourceTrials, trials.contains(where: { !$0.refusals.isEmpty }) {
            content.append(
                .folded(
                    "Event sources that the kernel does not offer",
                    [
                        HTML(
                            "dl", [],
                            trials.prefix(20).filter { !$0.refusals.isEmpty }.map {
                                .item(
                                    HTML($0.source.prefix(200)),
                                    [.list($0.refusals.prefix(20).map { HTML($0.prefix(400)) })])
                            })
                    ]))
        }
        section = PageSection(id: "machine", shortTitle: "Machine", title: "Machine and versions", content)
    }
}
