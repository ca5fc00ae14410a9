# complete.fish FILE LINE...: prints what the completion in FILE offers for each line, then <next>.
source $argv[1]
for line in $argv[2..-1]
    for word in (complete -C $line)
        echo "<"(string split \t -- $word)[1]">"
    end
    echo '<next>'
end
