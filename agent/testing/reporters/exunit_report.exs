# ExUnit's results, a JSON object a line.
#
# This file is copied into the sandbox and loaded there by Elixir, of any version from 1.10 on, with
# nothing but its standard library. What it is given: https://hexdocs.pm/ex_unit/ExUnit.Formatter.html

defmodule PatchwrightReport do
  use GenServer

  @longest 8000

  def init(_options) do
    {:ok, file} = :file.open(System.fetch_env!("PATCHWRIGHT_TEST_REPORT"), [:append, :raw])
    {:ok, file}
  end

  def handle_cast({:suite_started, _}, file), do: write(file, ~s({"started": true}))
  def handle_cast({:suite_finished, _, _}, file), do: write(file, ~s({"ended": 0}))
  def handle_cast({:suite_finished, _}, file), do: write(file, ~s({"ended": 0}))
  def handle_cast({:test_finished, test}, file), do: keep(file, test, outcome(test.state))
  def handle_cast(_other, file), do: {:noreply, file}

  defp outcome(nil), do: {"passed", ""}
  defp outcome({:failed, failures}), do: {"failed", failures |> Enum.map(&told/1) |> Enum.join("\n")}
  defp outcome({:skipped, _}), do: {"skipped", ""}
  defp outcome({:excluded, _}), do: nil
  defp outcome({:invalid, module}), do: {"error", "the set-up of all failed: " <> inspect(module.state)}

  defp told({kind, reason, stack}), do: Exception.format(kind, reason, stack)

  defp keep(file, _test, nil), do: {:noreply, file}

  defp keep(file, test, {outcome, message}) do
    name = text("#{test.tags.file}::#{test.name}")
    seconds = test.time / 1_000_000
    said = message |> String.slice(0, @longest) |> text()
    record = ~s({"name": #{name}, "outcome": "#{outcome}", "message": #{said}, "seconds": #{seconds}})
    write(file, record)
  end

  defp write(file, line) do
    :ok = :file.write(file, line <> "\n")
    {:noreply, file}
  end

  # A JSON string; the standard library had none before Elixir 1.18 and Erlang 27.
  defp text(string) do
    inner =
      for <<byte <- string>>, into: "" do
        case byte do
          ?" -> "\\\""
          ?\\ -> "\\\\"
          control when control < 32 -> "\\u00" <> (Integer.to_string(control, 16) |> String.pad_leading(2, "0"))
          other -> <<other>>
        end
      end

    "\"" <> inner <> "\""
  end
end
