# frozen_string_literal: true

require "test_helper"
require "date"

class CodecTest < UnitTest
  def encode(value, type) = TaskerCore::Codec.encode(value, type)

  def test_nil_is_null_but_json_null_for_jsonb
    assert_nil encode(nil, "text")
    assert_nil encode(nil, "bigint[]")
    assert_equal "null", encode(nil, "jsonb")
  end

  def test_scalars
    assert_equal "42", encode(42, "bigint")
    assert_equal "true", encode(true, "boolean")
    assert_equal "0.5", encode(0.5, "float8")
    assert_equal "strict", encode(:strict, "text")
  end

  def test_json_of_every_kind_of_value
    assert_equal '{"a":[1,null,"x"]}', encode({ a: [1, nil, "x"] }, "jsonb")
    assert_equal '"text"', encode("text", "jsonb")
    assert_equal "false", encode(false, "jsonb")
    assert_equal "0", encode(0, "jsonb")
  end

  def test_arrays_quote_what_needs_it
    assert_equal '{"a,b",NULL,"","NULL","say \"hi\""}', encode(["a,b", nil, "", "NULL", 'say "hi"'], "text[]")
    assert_equal "{1,2}", encode([1, 2], "bigint[]")
    assert_equal "{one}", encode("one", "text[]")
    assert_equal '{"{\"a\":1}",null}', encode([{ a: 1 }, nil], "jsonb[]").sub('"null"', "null")
  end

  def test_times_keep_microseconds_and_offset
    assert_equal "2024-02-29T12:30:45.123456+05:30", encode(Time.new(2024, 2, 29, 12, 30, 45.123456r, "+05:30"),
                                                            "timestamptz")
    assert_equal "2024-02-29T00:00:00.000000+00:00", encode(Date.new(2024, 2, 29), "timestamptz")
  end

  def test_what_cannot_be_stored_is_refused_by_name
    self_containing = []
    self_containing << self_containing
    [Float::NAN, Float::INFINITY, "\xff", "\xff".b, self_containing].each do |value|
      error = assert_raises(TaskerCore::SerializationError) { encode({ "k" => value }, "jsonb") }
      assert_match(/no JSON/, error.message)
      assert_predicate error.message, :valid_encoding?
    end
    assert_raises(TaskerCore::SerializationError) { encode("a\0b", "text") }
    assert_raises(TaskerCore::SerializationError) { encode({ a: 1 }, "text") }
  end

  def test_deep_json_is_encoded_and_decoded
    deep = 500.times.reduce(1) { |inner, _| [inner] }
    assert_equal deep, TaskerCore::Codec::JSONDecoder.new.decode(encode(deep, "jsonb"))
  end

  def test_decoded_json_is_frozen_and_creates_no_objects
    value = TaskerCore::Codec::JSONDecoder.new.decode('{"json_class":"String","a":["x"]}')
    assert_equal({ "json_class" => "String", "a" => ["x"] }, value)
    assert_predicate value, :frozen?
    assert_predicate value["a"], :frozen?
  end

  def test_printable_takes_any_bytes
    assert_equal "a\ufffdb", TaskerCore::Codec.printable("a\xffb")
    assert_equal "é", TaskerCore::Codec.printable("é".b)
    assert_equal "é", TaskerCore::Codec.printable("é".encode("ISO-8859-1"))
    assert_equal "ab", TaskerCore::Codec.printable("a\0b")
  end
end
