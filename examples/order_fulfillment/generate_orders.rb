#!/usr/bin/env ruby
# frozen_string_literal: true

# Writes the input of this example: a catalogue and the orders of a busy day.
# The seed is fixed, so the same arguments always give the same file.
#
#   ruby generate_orders.rb [NUMBER_OF_ORDERS] > orders.json

require "json"

# The orders have the faults real ones have, in shares of a thousand:
SHARES = {
  empty_basket: 20,
  unknown_product: 20,
  declined_card: 40,    # the gateway says no, for good
  busy_gateway: 80,     # the gateway answers 503 one to three times, then takes the money
  scarce_product: 30    # too few are in stock for everybody who wants one
}.freeze
RESUBMITTED = 25        # of a thousand orders are sent twice

SCARCE = { sku: "LAMP-LTD", name: "Brass lamp, numbered edition", price_cents: 24_900 }.freeze
CATALOGUE = [
  ["BOOK-SQL", "The Art of the Query", 3_950], ["CHAIR-01", "Oak chair", 18_900],
  ["CUP-BLUE", "Blue cup", 1_290], ["CUP-RED", "Red cup", 1_290], ["DESK-120", "Desk, 120 cm", 42_000],
  ["KEYB-DE", "Keyboard, German layout", 8_900], ["KEYB-US", "Keyboard, US layout", 8_900],
  ["LAMP-STD", "Desk lamp", 5_450], ["MAT-FELT", "Felt desk mat", 2_990], ["MOUSE-L", "Mouse, left-handed", 4_700],
  ["NOTE-A5", "Notebook A5", 990], ["PEN-12", "Twelve pens", 1_450]
].map { |sku, name, price| { sku: sku, name: name, price_cents: price } }.freeze
CUSTOMERS = %w[Amara Bjorn Chiara Dmitri Elif Farid Greta Hiroshi Ines Jonas Kavya Lucía Mbali Noor].freeze

def kind_of_order(random)
  roll = random.rand(1_000)
  SHARES.each do |kind, share|
    return kind if roll < share

    roll -= share
  end
  :plain
end

def lines_of(kind, random)
  case kind
  when :empty_basket then []
  when :scarce_product then [{ sku: SCARCE[:sku], quantity: 1 }]
  else
    lines = CATALOGUE.sample(1 + random.rand(3), random: random).map do |product|
      { sku: product[:sku], quantity: 1 + random.rand(4) }
    end
    lines << { sku: "SOLD-1999", quantity: 1 } if kind == :unknown_product
    lines
  end
end

def card_of(kind, random)
  case kind
  when :declined_card then "declined"
  when :busy_gateway then "busy_#{1 + random.rand(3)}"
  else "valid"
  end
end

def orders(count, random)
  Array.new(count) do |index|
    kind = kind_of_order(random)
    {
      order_number: format("ORD-%05d", index + 1),
      customer: CUSTOMERS.sample(random: random),
      card: card_of(kind, random),
      lines: lines_of(kind, random)
    }
  end
end

# What arrives: every order once, some of them again a little later.
def submissions(orders, random)
  orders.each_with_index.flat_map do |order, index|
    again = random.rand(1_000) < RESUBMITTED ? [[index + 1 + random.rand(20), order]] : []
    [[index, order]] + again
  end.sort_by.with_index { |(position, _), index| [position, index] }.map(&:last)
end

# Enough of everything for every order, but not of the scarce product.
def stock(orders)
  wanted = Hash.new(0)
  orders.each { |order| order[:lines].each { |line| wanted[line[:sku]] += line[:quantity] } }
  products = CATALOGUE.map { |product| { **product, stock: wanted[product[:sku]] + 25 } }
  products << { **SCARCE, stock: [wanted[SCARCE[:sku]] / 3, 1].max }
end

def print_list(name, items, last: false)
  puts "  #{JSON.generate(name)}: ["
  puts items.map { |item| "    #{JSON.generate(item)}" }.join(",\n")
  puts "  ]#{"," unless last}"
end

random = Random.new(20_240_229)
orders = orders(Integer(ARGV.fetch(0, "1000")), random)
puts "{"
print_list("products", stock(orders))
print_list("submissions", submissions(orders, random), last: true)
puts "}"
