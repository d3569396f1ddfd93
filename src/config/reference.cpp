// SPDX-License-Identifier: Apache-2.0
#include "config/reference.hpp"

#include <string_view>
#include <vector>

#include "config/features.hpp"
#include "config/flags.hpp"
#include "config/foreign_keys.hpp"
#include "config/schema.hpp"
#include "config/suggest.hpp"
#include "config/value_text.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kHelpColumn = 30;

std::string replaced(std::string_view text, char from, std::string_view to) {
    std::string out;
    for (const char c : text)
        out += c == from ? std::string{to} : std::string(1, c);
    return out;
}

/// What a value looks like: "on|off", "SIZE", "tap|user".
std::string value_form(const Key& key) {
    if (!key.value.empty())
        return std::string{key.value};
    switch (key.type) {
        case Type::Bool:
            return "on|off";
        case Type::Size:
            return "SIZE";
        case Type::Choice: {
            std::string form;
            for (const auto choice : key.choices)
                form += cat(form.empty() ? "" : "|", choice);
            return form;
        }
        case Type::Number:
        case Type::NumberList:
            return "N";
        default:
            return "TEXT";
    }
}

/// "size=SIZE", "[size=]SIZE" for the first key; by the name that text prefers.
std::string text_form(const Object& schema, const Key& key) {
    const auto name = key.alias.size() > 2 ? key.alias : key.name;
    if (&key == &schema.keys.front())
        return cat("[", name, "=]", value_form(key));
    return cat(name, "=", value_form(key));
}

std::string default_text(const Key& key, const Object& schema) {
    if (key.object != nullptr || key.required)
        return {};
    const auto value = key.access.get(schema.defaults());
    return value ? value_text(key, *value) : std::string{};
}

/// "  -k, --kernel FILE": the short name in front.
std::string flag_heading(const Flag& flag) {
    std::string shorts;
    std::string longs;
    for (auto names = flag.names(); !names.empty();) {
        const auto name = names.substr(0, names.find(','));
        names.remove_prefix(std::min(names.size(), name.size() + 1));
        auto& list = name.starts_with("--") ? longs : shorts;
        list += cat(list.empty() ? "" : ", ", name);
    }
    const Key& key = *flag.key;
    const bool may_lack = flag.value_optional();
    return cat("  ", shorts.empty() ? "    " : shorts + ", ", longs, may_lack ? " [" : " ",
               value_form(key), may_lack ? "]" : "");
}

/// `text` from kHelpColumn on, behind `heading`, on as many lines as it takes.
std::string paragraph(std::string heading, std::string_view text) {
    std::string out;
    std::string line = std::move(heading);
    if (line.size() + 2 > kHelpColumn) {
        out += line + "\n";
        line.clear();
    }
    line.resize(kHelpColumn, ' ');
    bool fresh = true;
    while (!text.empty()) {
        const auto word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
        if (!fresh && line.size() + 1 + word.size() > kWidth) {
            out += line + "\n";
            line.assign(kHelpColumn, ' ');
            fresh = true;
        }
        line += cat(fresh ? "" : " ", word);
        fresh = false;
    }
    return out + line + "\n";
}

std::string explained(const Key& key, const Object& schema, bool supported, bool repeatable) {
    const auto normal = default_text(key, schema);
    return cat(help_of(key), repeatable ? "; may be repeated" : "",
               normal.empty() ? "" : cat(" [default: ", normal, "]"),
               supported ? "" : " (not supported yet)");
}

const Object& owner(const Flag& flag) {
    return flag.parent == nullptr ? vm_schema() : *flag.parent->object;
}

// ---------------------------------------------------------------- the page

/// To the section of that name; anchors are in lower case.
std::string link_to(const Object& schema) {
    std::string anchor{schema.name};
    for (char& c : anchor)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return cat("[", schema.name, "](#", anchor, ")");
}

std::string type_name(const Key& key) {
    switch (key.type) {
        case Type::Bool:
            return "boolean";
        case Type::Number:
            return key.most < 0xffffffff ? cat("number, ", key.least, " to ", key.most)
                                         : std::string{"number"};
        case Type::Size:
            return cat("size, ", size_text(key.least), " to ", size_text(key.most));
        case Type::Choice: {
            std::string names;
            for (const auto choice : key.choices)
                names += cat(names.empty() ? "`" : ", `", choice, "`");
            return names;
        }
        case Type::TextList:
            return "text, or list of texts";
        case Type::NumberList:
            return "list of numbers";
        case Type::Object:
            return link_to(*key.object);
        case Type::ObjectList:
            return cat("list of ", link_to(*key.object));
        default:
            return key.most <= 0xffff ? cat("text, at most ", key.most, " bytes")
                                      : std::string{"text"};
    }
}

std::string flag_cell(const Key& key) {
    return key.flag.empty() ? std::string{} : cat("`", replaced(key.flag, ',', "`, `"), "`");
}

void section(const Object& schema, std::string_view path, std::string& page) {
    page += cat("## ", schema.name, "\n\n", schema.help, path.empty() ? "" : cat(": `", path, "`"),
                ".\n\n| key | flag | type | default | meaning |\n|---|---|---|---|---|\n");
    for (const Key& key : schema.keys) {
        const auto below = path.empty() ? std::string{key.name} : cat(path, ".", key.name);
        const auto normal = default_text(key, schema);
        page += cat("| `", key.name, "`",
                    key.alias.empty() ? "" : cat(", as text also `", key.alias, "`"), " | ",
                    flag_cell(key), " | ", type_name(key), " | ",
                    normal.empty() ? "" : cat("`", normal, "`"), " | ", help_of(key), ".",
                    is_supported(below) ? "" : " *Not supported yet.*", " |\n");
    }
    page += "\n";
    for (const Key& key : schema.keys)
        if (key.object != nullptr)
            section(*key.object, path.empty() ? std::string{key.name} : cat(path, ".", key.name),
                    page);
}

constexpr std::string_view kIntroduction =
    R"(# Configuration

This page is generated by `vmm config reference` from the tables in `src/config` (`schema.cpp`
and `kinds`), which also make the flags, the JSON reader and writer, `--help` and the JSON Schema
(`vmm config schema`). Do not edit it.

A machine is described by flags, by a JSON file given with `--config FILE` (`-` is standard input),
or by both:

```
vmm run --kernel vmlinuz --initramfs rootfs.cpio --memory 4G --num-cpu 2
vmm config show --kernel vmlinuz --memory 4G > web.json    # the same, written down
vmm run --config web.json --memory 8G                      # with one thing changed
vmm config check --config web.json                         # is it right? exit code 0 or 2
```

Flags override the file: single values and structures key by key, a flag that may be repeated
replaces the file's whole list, and `--serial` and `--console` replace everything that the file says
about them. When the same flag is given twice, the last one wins key by key. `--disk`, `--net` and
`--console-port` also take several values: `--disk a.img b.img` is `--disk a.img --disk b.img`.

## Text form of structured flags

`--memory 4G,shared=on,prefault`: keys and values, separated by commas. The first value may stand
without its key. A switch is `on`, `off`, `true` or `false`; a bare key means on. A value that
contains a comma goes in double quotes (`path="a,b.img"`; inside, `\"` and `\\` stand for `"` and
`\`), a list in brackets (`publish=[8080:80,2222:22]`), or the key is repeated. Brackets that do not
enclose the whole value are part of it (`[x].img`). A bare first value that contains `=` needs its
key.

Sizes are in bytes, or take K, M, G or T (powers of 1024, with or without `iB`). In JSON a size may
be a number or such a string; it is written as a number. Numbers may be hexadecimal (`0xf4`) in
flags.

## Published ports

With `--net user`, the guest's ports are closed to the host and its network, except for those that
`publish` names:

| `publish=` | leads to the guest's port 80 |
|---|---|
| `8080:80` | from the host itself: port 8080 of 127.0.0.1, TCP and UDP |
| `8080:80/tcp` | TCP only; `/udp` is UDP only |
| `0.0.0.0:8080:80` | from every network of the host, by IPv4 |
| `[::]:8080:80`, `[::1]:8080:80` | the same two by IPv6, if the host and the guest have it |
| `192.0.2.7:8080:80` | at one address of the host |
| `8000-8010:9000-9010` | no: 11 ports lead to the guest's 9000 to 9010 |

A device can take each host port only once per protocol, whatever the address.

## Pinned vCPUs

`--cpus 2,affinity=[0@[2,3],1@[4-6]]` lets vCPU 0 run on the host CPUs 2 and 3 only, and vCPU 1 on
4, 5 and 6. In JSON there are no ranges:

```
"affinity": [{"vcpu": 0, "host_cpus": [2, 3]}, {"vcpu": 1, "host_cpus": [4, 5, 6]}]
```

vCPUs that are not named, and the threads of devices, run wherever `vmm` itself may. The host CPUs
have to be online and in the cpuset of the process, which `vmm run` checks and `vmm config check`
does not. zsh takes brackets for a pattern: quote the value there.

## JSON

The keys are those of Cloud Hypervisor's `VmConfig` where it has the feature. A key that does not
exist, a key given twice and a value of the wrong type are errors that give line and column. `null`
means "not given". Choices are read in upper or lower case and written in lower case.

)";

/// One row for each object that Cloud Hypervisor has keys for which have no meaning here.
std::string foreign_section() {
    std::string text =
        "## Keys of Cloud Hypervisor\n\n"
        "A file that was written for Cloud Hypervisor may contain these keys as long as they have\n"
        "their default (or `null`); any other value is an error that says what is missing. The\n"
        "same keys are accepted in flags.\n\n| object | keys |\n|---|---|\n";
    for (const ForeignObject& object : foreign_objects()) {
        text += cat("| ", object.name, " | ");
        for (const ForeignKey& key : object.keys) {
            text += cat(&key == &object.keys.front() ? "`" : ", `", key.key, "`");
            if (key.normal == ForeignKey::Normal::Nested)
                text += cat(" (", key.text, ")");
            else if (normal_in_json(key) != "null")
                text += cat(" `", normal_in_json(key), "`");
        }
        text += " |\n";
    }
    return text + "\n";
}

}  // namespace

std::string flags_help() {
    std::string text;
    for (const Flag& flag : all_flags()) {
        const Key& key = *flag.key;
        text += paragraph(flag_heading(flag), explained(key, owner(flag), is_supported(flag.path()),
                                                        flag.repeatable()));
        if (key.object == nullptr || !is_supported(flag.path()))
            continue;
        for (const Key& below : key.object->keys)
            text += paragraph(
                cat("        ", text_form(*key.object, below)),
                explained(below, *key.object, is_supported(cat(key.name, ".", below.name)), false));
    }
    return text;
}

std::string reference_page() {
    std::string page{kIntroduction};
    section(vm_schema(), "", page);
    page += foreign_section();
    page.pop_back();  // one newline at the end
    return page;
}

}  // namespace vmm::config
