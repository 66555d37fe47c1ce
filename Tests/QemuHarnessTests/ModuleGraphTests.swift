// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The modules are what the table in DESIGN.md says, and import no more than it allows.
@Suite struct ModuleGraphTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// A row of DESIGN.md's table.
    private struct Module {
        let name: String
        /// What it may import of ours.
        let allowed: Set<String>
    }

    /// The rows of the table, whose columns are: module, what it holds, what it may import, what it is built for.
    private static func modules() throws -> [Module] {
        let text = try String(contentsOf: root.appending(path: "DESIGN.md"), encoding: .utf8)
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }.filter { $0.count == 4 }
        let names = Set(rows.map { $0[0].filter { $0 != "`" } })
        let ofTheHost = Set(rows.filter { $0[3].hasPrefix("host") }.map { $0[0].filter { $0 != "`" } })
        return try rows.map { row in
            let name = row[0].filter { $0 != "`" }
            let allowed: Set<String>
            switch row[2] {
            case "nothing of ours": allowed = []
            case "all of the host's": allowed = ofTheHost.subtracting([name])
            default: allowed = Set(row[2].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) })
            }
            let unknown = allowed.subtracting(names)
            try #require(unknown.isEmpty, "\(name) may import \(unknown), which the table does not have")
            return Module(name: name, allowed: allowed)
        }
    }

    /// A target of Package.swift that is no test's: where its sources are, and on which of `modules` it depends.
    private struct Target {
        let name: String
        let path: String
        let dependencies: Set<String>
    }

    private static func targets(among modules: Set<String>) throws -> [Target] {
        let manifest = try String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)
        let text = try #require(manifest.range(of: "    targets: [").map { manifest[$0.upperBound...] })
        let declarations = text.split(separator: /\.(?:target|executableTarget|systemLibrary|testTarget)\(/).dropFirst()
        return try declarations.compactMap { declaration in
            let name = String(try #require(declaration.firstMatch(of: /name: "([^"]+)"/)?.output.1))
            let path = declaration.firstMatch(of: /path: "([^"]+)"/).map { String($0.output.1) }
            guard modules.contains(name) || path?.hasPrefix("Tests/") != true && !name.hasSuffix("Tests") else {
                return nil
            }
            let list = declaration.firstRange(of: "dependencies:").map { declaration[$0.upperBound...] } ?? ""
            let words = list.matches(of: /"([A-Za-z-]+)"/).map { String($0.output.1) }
            return Target(
                name: name, path: path ?? "Sources/\(name)", dependencies: modules.intersection(words))
        }
    }

    /// The modules that each module's sources import, with the places, and C headers and sources left out.
    private static func imports(of targets: [Target]) throws -> [(module: String, imported: String, place: String)] {
        let sources = root.appending(path: "Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        let pattern = try Regex(
            #"(?m)^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:(?:public|package|internal|fileprivate|private)[ \t]+)?import[ \t]+"#
                + #"(?:(?:struct|class|enum|protocol|typealias|func|let|var)[ \t]+)?([\w]+)"#,
            as: (Substring, Substring).self)
        return try files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.flatMap { file in
            let path = String(file.path.dropFirst(root.path.count + 1))
            // A target may lie in another one's folder.
            let owners = targets.filter { path.hasPrefix($0.path + "/") }
            let owner = try #require(owners.max { $0.path.count < $1.path.count }, "\(path) belongs to no module")
            return try String(contentsOf: file, encoding: .utf8).matches(of: pattern).map {
                (owner.name, String($0.output.1).replacing("qemu_harness", with: "qemu-harness"), path)
            }
        }
    }

    @Test func noModuleImportsMoreThanItMay() throws {
        let modules = try Self.modules()
        let names = Set(modules.map(\.name))
        let allowed = Dictionary(uniqueKeysWithValues: modules.map { ($0.name, $0.allowed) })
        let targets = try Self.targets(among: names)
        #expect(Set(targets.map(\.name)) == names, "Package.swift and DESIGN.md have different modules")
        for target in targets {
            let tooMany = target.dependencies.subtracting(allowed[target.name] ?? []).subtracting([target.name])
            #expect(tooMany.isEmpty, "\(target.name) depends on \(tooMany) in Package.swift")
        }
        let imports = try Self.imports(of: targets).filter { names.contains($0.imported) && $0.imported != $0.module }
        #expect(imports.count > 100)
        for (module, imported, place) in imports where allowed[module]?.contains(imported) != true {
            Issue.record("\(place) imports \(imported), which \(module) may not")
        }
    }

    /// Data flows one way.
    @Test func noModuleReachesItself() throws {
        let modules = try Self.modules()
        #expect(modules.count > 10)
        for module in modules {
            #expect(!Self.reached(from: module.name, in: modules).contains(module.name), "\(module.name)")
        }
    }

    /// What needs no libvirt works where there is none.
    @Test func offlineCommandsReachNoLibvirt() throws {
        let modules = try Self.modules()
        let reached = Self.reached(from: "OfflineCommands", in: modules)
        #expect(reached.contains("RunRecord"))
        #expect(reached.isDisjoint(with: ["CLibvirt", "Libvirt"]))
        #expect(Self.reached(from: "qemu-harness", in: modules).isSuperset(of: ["CLibvirt", "OfflineCommands"]))
    }

    /// All that a module may import, and what that may import in turn.
    private static func reached(from name: String, in modules: [Module]) -> Set<String> {
        let allowed = Dictionary(uniqueKeysWithValues: modules.map { ($0.name, $0.allowed) })
        var reached: Set<String> = []
        var open = [name]
        while let next = open.popLast() {
            for module in allowed[next] ?? [] where reached.insert(module).inserted { open.append(module) }
        }
        return reached
    }
}
